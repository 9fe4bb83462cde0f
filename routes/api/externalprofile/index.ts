import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { forbidden, notFound, unauthenticated } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { externalProfiles as endpoint, oneExternalProfile } from '#src/api/endpoints.ts'
import { EXTERNAL_PROFILE_SITE, EXTERNAL_PROFILE_VISIBILITY } from '#src/api/resources/externalprofile.ts'
import { done, failure, success } from '#src/api/responses.ts'
import type { Identity } from '#src/auth/identity.ts'
import {
  countExternalProfiles,
  deleteExternalProfile,
  insertExternalProfile,
  updateExternalProfile,
} from '#src/database/external-profiles.ts'
import { Label, labelOf, Text, titleOf } from '#src/input/list.ts'
import { externalProfileAccess } from '#src/lists/external-profile-access.ts'
import { listing, showing } from '#src/lists/listing.ts'
import { judgedLast, listGates, requireValid } from '#src/lists/writes.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { anyOf, where } from '#src/query/scope.ts'

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

const Params = Type.Object({
  externalprofile: Type.String({ description: "The external profile's id.", examples: ['3'] }),
})

const visibilityOf = (label: (typeof EXTERNAL_PROFILE_VISIBILITY)[number]) =>
  EXTERNAL_PROFILE_VISIBILITY.indexOf(label)

const readings = {
  name: titleOf,
  site: labelOf(EXTERNAL_PROFILE_SITE),
  visibility: labelOf(EXTERNAL_PROFILE_VISIBILITY),
}

const unknown = {
  404: failure('There is no such external profile, or it is private to somebody else.', MESSAGES.notFound),
}

const profiles: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const access = externalProfileAccess(app)
  const { requireFeature, limitFor } = listGates(app)
  const list = listing(app, endpoint)
  const showRow = showing(app, oneExternalProfile)
  const show = (id: number, request?: FastifyRequest) => showRow(where('profile_id', '=', id), id, request)

  app.get(
    '',
    {
      config: {
        access: { auth: 'optional', ability: 'read:externalprofile', permission: 'view external profile' },
        endpoint,
      },
      schema: {
        operationId: 'externalprofile.index',
        tags: ['externalprofile'],
        summary: 'List public external profiles',
        description:
          "Those of everybody, and the caller's private ones, oldest first. With `q` the public ones whose name has the words, best matches first.",
        response: { 200: success(pageSchema(endpoint, 'A page of external profiles.'), { isLimited: true }) },
      },
    },
    async request => {
      access.requireLocal(request)
      const { identity } = request
      const isPublic = where('visibility', '=', visibilityOf('Public'))
      return list(request, ({ search }) =>
        identity === null || search !== null
          ? isPublic
          : anyOf(isPublic, where('user_id', '=', identity.user.id)),
      )
    },
  )

  app.post(
    '',
    {
      ...judgedLast(readings),
      config: {
        access: {
          auth: 'required',
          ability: 'write:externalprofile',
          permission: 'create external profile',
        },
        takesQuery: true,
      },
      schema: {
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
          201: success(showSchema(oneExternalProfile, 'The external profile.'), { isLimited: true }),
          403: failure(
            'The caller lacks the permission `create external profile`, is banned from using it, or has too many; or the token lacks the ability `write:externalprofile`.',
            MESSAGES.tooManyProfiles(5),
          ),
        },
      },
    },
    async (request, reply) => {
      const { id: userId } = (request.identity as Identity).user
      access.requireLocal(request)
      await requireFeature(request, 'externalprofiles')
      const most = limitFor(request, config.externalProfilesPerUser)
      const tooMany = () => forbidden(MESSAGES.tooManyProfiles(config.externalProfilesPerUser))
      if (most !== null && (await countExternalProfiles(kysely, userId)) >= most) throw tooMany()
      requireValid(request)
      const { name, site, visibility } = request.body
      const id = await insertExternalProfile(
        kysely,
        {
          userId,
          name,
          site: EXTERNAL_PROFILE_SITE.indexOf(site),
          visibility: visibilityOf(visibility),
          now: clock(),
        },
        most,
      )
      if (id === 'too many') throw tooMany()
      if (id === 'no such user') throw unauthenticated()
      return reply.code(201).send(await show(id))
    },
  )

  app.get(
    '/:externalprofile',
    {
      config: {
        access: {
          auth: 'optional',
          ability: 'read:externalprofile',
          permission: 'view external profile',
          checked: 'after the row',
        },
        endpoint: oneExternalProfile,
      },
      schema: {
        operationId: 'externalprofile.show',
        tags: ['externalprofile'],
        summary: 'Show an external profile',
        description: 'A public one, or a private one of the caller.',
        params: Params,
        response: {
          200: success(showSchema(oneExternalProfile, 'The external profile.'), { isLimited: true }),
          ...unknown,
        },
      },
    },
    async request => {
      const { id } = await access.profileToSee(request)
      return show(id, request)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '/:externalprofile',
      ...judgedLast(readings),
      config: {
        access: {
          auth: 'required',
          ability: 'write:externalprofile',
          permission: 'update external profile',
          checked: 'after the row',
        },
        takesQuery: true,
      },
      schema: {
        operationId: `externalprofile.update.${method.toLowerCase()}`,
        tags: ['externalprofile'],
        summary: 'Show an external profile to everybody, or hide it',
        description: 'Nothing else of it can be changed.',
        params: Params,
        body: Type.Object({ visibility: Type.Optional(Visibility) }),
        response: {
          200: success(showSchema(oneExternalProfile, 'The external profile.'), { isLimited: true }),
          ...unknown,
        },
      },
      handler: async request => {
        const { id } = await access.profileToChange(request)
        await requireFeature(request, 'externalprofiles')
        requireValid(request)
        const { visibility } = request.body
        if (visibility !== undefined)
          await updateExternalProfile(kysely, id, visibilityOf(visibility), clock())
        return show(id)
      },
    })
  }

  app.delete(
    '/:externalprofile',
    {
      config: {
        access: {
          auth: 'required',
          ability: 'write:externalprofile',
          permission: 'delete external profile',
          checked: 'after the row',
        },
      },
      schema: {
        operationId: 'externalprofile.destroy',
        tags: ['externalprofile'],
        summary: 'Delete an external profile',
        description: 'With its entries, for good.',
        params: Params,
        response: { 200: done(MESSAGES.profileDeleted('alice')), ...unknown },
      },
    },
    async request => {
      const { id, name } = await access.profileToChange(request)
      await requireFeature(request, 'externalprofiles')
      if (!(await deleteExternalProfile(kysely, id))) throw notFound()
      return { message: MESSAGES.profileDeleted(name) }
    },
  )
}

export default profiles
