import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { externalProfiles as endpoint, oneExternalProfile } from '#src/api/endpoints.ts'
import { EXTERNAL_PROFILE_SITE, EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import { messageResponse, refusal, successResponse } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { UPDATE_METHODS } from '#src/http/update-methods.ts'
import { Label, Text, toLabel, toTitle } from '#src/input/list.ts'
import { ProfilePath } from '#src/input/list-paths.ts'
import { deferValidation, requireValid } from '#src/lists/deferred-validation.ts'
import { externalProfileLoaders } from '#src/lists/external-profile-access.ts'
import { createExternalProfiles, listedProfilesScope } from '#src/lists/external-profiles.ts'
import { pageHandler, rowHandler } from '#src/lists/handlers.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Site = Label(
  EXTERNAL_PROFILE_SITE,
  'The site. Case-insensitive; 0, 1 and 2 are accepted too.',
  'AniList',
)
const Visibility = Label(
  EXTERNAL_PROFILE_VISIBILITY,
  'Who can see it: `Public` everyone, `Private` its owner. Case-insensitive; 0 and 1 are accepted too.',
  'Private',
)

const readings = {
  name: toTitle,
  site: toLabel(EXTERNAL_PROFILE_SITE),
  visibility: toLabel(EXTERNAL_PROFILE_VISIBILITY),
}

const INDEX = {
  operationId: 'externalprofile.index',
  tags: ['externalprofile'],
  summary: 'List public external profiles',
  description:
    "Returns the public profiles of all users and the caller's private ones, oldest first. With `q`, only public ones whose name has the words, best matches first.",
  response: { 200: successResponse(pageSchema(endpoint, 'A page of external profiles.')) },
}

const STORE = {
  operationId: 'externalprofile.store',
  tags: ['externalprofile'],
  summary: 'Create an external profile',
  description: 'A user can have at most USER_MAX_PROFILES external profiles.',
  body: Type.Object({
    name: Text(192, 'The name on that site.', 'alice'),
    site: Site,
    visibility: Visibility,
  }),
  response: {
    201: successResponse(showSchema(oneExternalProfile, 'The external profile.')),
    403: refusal('The caller has too many profiles.'),
  },
}

const SHOW = {
  operationId: 'externalprofile.show',
  tags: ['externalprofile'],
  summary: 'Show an external profile',
  description: 'Returns a public external profile, or a private one of the caller.',
  params: ProfilePath,
  response: {
    200: successResponse(showSchema(oneExternalProfile, 'The external profile.')),
  },
}

const UPDATE = {
  tags: ['externalprofile'],
  summary: 'Change the visibility of an external profile',
  description: 'Only the visibility can be changed.',
  params: ProfilePath,
  body: Type.Object({ visibility: Type.Optional(Visibility) }),
  response: {
    200: successResponse(showSchema(oneExternalProfile, 'The external profile.')),
  },
}

const DESTROY = {
  operationId: 'externalprofile.destroy',
  tags: ['externalprofile'],
  summary: 'Delete an external profile',
  description: 'Deletes the external profile and its entries permanently.',
  params: ProfilePath,
  response: { 200: messageResponse() },
}

const profileRoutes: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const { readableProfile, writableProfile } = externalProfileLoaders({ kysely, config })
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
    request => list(request, ({ search }) => listedProfilesScope(request.identity, search)),
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
        access: { ...reads, permission: 'view external profile', load: readableProfile },
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
        access: { ...writes, permission: 'update external profile', load: writableProfile },
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
      config: { access: { ...writes, permission: 'delete external profile', load: writableProfile } },
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
