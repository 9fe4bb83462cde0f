import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { externalProfiles as endpoint, oneExternalProfile } from '#src/api/endpoints.ts'
import { EXTERNAL_PROFILE_SITE, EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import { done, failure, missing, success } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { Label, labelOf, Text, titleOf } from '#src/input/list.ts'
import { ProfilePath } from '#src/input/list-paths.ts'
import { deferValidation, requireValid } from '#src/lists/deferred-validation.ts'
import { externalProfileLoaders } from '#src/lists/external-profile-access.ts'
import { createExternalProfiles, listedProfiles } from '#src/lists/external-profiles.ts'
import { pageHandler, rowHandler } from '#src/lists/handlers.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Site = Label(
  EXTERNAL_PROFILE_SITE,
  'The site. Case does not matter, and 0, 1, 2 mean the same.',
  'AniList',
)
const Visibility = Label(
  EXTERNAL_PROFILE_VISIBILITY,
  'Who can see it: everybody or its owner. Case does not matter, and 0, 1 mean the same.',
  'Private',
)

const readings = {
  name: titleOf,
  site: labelOf(EXTERNAL_PROFILE_SITE),
  visibility: labelOf(EXTERNAL_PROFILE_VISIBILITY),
}

const unknown = { 404: missing('There is no such external profile, or it is private to somebody else.') }

const INDEX = {
  operationId: 'externalprofile.index',
  tags: ['externalprofile'],
  summary: 'List public external profiles',
  description:
    "Those of everybody, and the caller's private ones, oldest first. With `q` the public ones whose name has the words, best matches first.",
  response: { 200: success(pageSchema(endpoint, 'A page of external profiles.')) },
}

const STORE = {
  operationId: 'externalprofile.store',
  tags: ['externalprofile'],
  summary: 'Create an external profile',
  description: 'USER_MAX_PROFILES is the most that a user can have.',
  body: Type.Object({
    name: Text(192, 'The name on that site.', 'alice'),
    site: Site,
    visibility: Visibility,
  }),
  response: {
    201: success(showSchema(oneExternalProfile, 'The external profile.')),
    403: failure(
      'The caller lacks the permission `create external profile`, is banned from using it, or has too many; or the token lacks the ability `write:externalprofile`.',
      MESSAGES.tooManyProfiles(5),
    ),
  },
}

const SHOW = {
  operationId: 'externalprofile.show',
  tags: ['externalprofile'],
  summary: 'Show an external profile',
  description: 'A public one, or a private one of the caller.',
  params: ProfilePath,
  response: {
    200: success(showSchema(oneExternalProfile, 'The external profile.')),
    ...unknown,
  },
}

const UPDATE = {
  tags: ['externalprofile'],
  summary: 'Show an external profile to everybody, or hide it',
  description: 'Nothing else of it can be changed.',
  params: ProfilePath,
  body: Type.Object({ visibility: Type.Optional(Visibility) }),
  response: {
    200: success(showSchema(oneExternalProfile, 'The external profile.')),
    ...unknown,
  },
}

const DESTROY = {
  operationId: 'externalprofile.destroy',
  tags: ['externalprofile'],
  summary: 'Delete an external profile',
  description: 'With its entries, for good.',
  params: ProfilePath,
  response: { 200: done(MESSAGES.profileDeleted('alice')), ...unknown },
}

const profileRoutes: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const { profileToSee, profileToChange } = externalProfileLoaders({ kysely, config })
  const profiles = createExternalProfiles({ kysely, config, clock })
  const localOnly = config.externalProfilesLocalOnly
  const reads = { auth: 'optional', ability: 'read:externalprofile', localOnly } as const
  const writes = {
    auth: 'required',
    ability: 'write:externalprofile',
    localOnly,
    feature: 'externalprofiles',
  } as const
  const list = pageHandler(app, endpoint)
  const showRow = rowHandler(app, oneExternalProfile)
  const show = (id: number, request?: FastifyRequest) => showRow(where('profile_id', '=', id), id, request)

  app.get(
    '',
    { config: { access: { ...reads, permission: 'view external profile' }, endpoint }, schema: INDEX },
    request => list(request, ({ search }) => listedProfiles(request.identity, search)),
  )

  app.post(
    '',
    {
      ...deferValidation(readings),
      config: {
        access: { ...writes, permission: 'create external profile', quota: profiles.quota },
        takesQuery: true,
      },
      schema: STORE,
    },
    async (request, reply) => {
      requireValid(request)
      const id = await profiles.create(request.caller(), request.body)
      return reply.code(201).send(await show(id))
    },
  )

  app.get(
    '/:externalprofile',
    {
      config: {
        access: { ...reads, permission: 'view external profile', load: profileToSee },
        endpoint: oneExternalProfile,
      },
      schema: SHOW,
    },
    request => show(rowOf(request).id, request),
  )

  for (const method of UPDATE_METHODS) {
    app.route({
      method,
      url: '/:externalprofile',
      ...deferValidation(readings),
      config: {
        access: { ...writes, permission: 'update external profile', load: profileToChange },
        takesQuery: true,
      },
      schema: { ...UPDATE, operationId: `externalprofile.update.${method.toLowerCase()}` },
      handler: async request => {
        requireValid(request)
        const profile = rowOf(request)
        await profiles.change(profile, request.body)
        return show(profile.id)
      },
    })
  }

  app.delete(
    '/:externalprofile',
    {
      config: { access: { ...writes, permission: 'delete external profile', load: profileToChange } },
      schema: DESTROY,
    },
    async request => {
      const profile = rowOf(request)
      await profiles.remove(profile)
      return { message: MESSAGES.profileDeleted(profile.name) }
    },
  )
}

export default profileRoutes
