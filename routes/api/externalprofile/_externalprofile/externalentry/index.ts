import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { externalEntries as endpoint, oneExternalEntry } from '#src/api/endpoints.ts'
import { externalProfile } from '#src/api/resources.ts'
import { successResponse } from '#src/api/responses.ts'
import { rowOf } from '#src/http/loaded-row.ts'
import { EntryPath, ProfilePath } from '#src/input/list-paths.ts'
import { externalProfileLoaders } from '#src/lists/external-profile-access.ts'
import { pageHandler, rowHandler } from '#src/lists/handlers.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'
import { forbidden } from '#src/responses/errors.ts'

const entries: FastifyPluginAsyncTypebox = async app => {
  const { config } = app
  const { kysely } = app.database
  const { readableProfile, profileForNewEntry, readableEntry, writableEntry } = externalProfileLoaders({
    kysely,
    config,
  })
  const localOnly = config.externalProfilesLocalOnly
  const toView = {
    auth: 'optional',
    ability: 'read:externalprofile',
    permission: 'view external entry',
    localOnly,
  } as const
  const relation = relationAt(externalProfile, ['externalentries'])
  const list = pageHandler(app, endpoint)
  const show = rowHandler(app, oneExternalEntry)

  app.get(
    '',
    {
      config: { access: { ...toView, load: readableProfile }, endpoint },
      schema: {
        operationId: 'externalprofile.externalentry.index',
        tags: ['externalprofile'],
        summary: "List an external profile's entries",
        description: 'Returns the entries as of the last synchronization with the site, oldest first.',
        params: ProfilePath,
        response: {
          200: successResponse(pageSchema(endpoint, 'A page of entries.')),
        },
      },
    },
    request => {
      const { id } = rowOf(request)
      return list(request, () => belongingTo(relation, id))
    },
  )

  app.get(
    '/:externalentry',
    {
      config: { access: { ...toView, load: readableEntry }, endpoint: oneExternalEntry },
      schema: {
        operationId: 'externalprofile.externalentry.show',
        tags: ['externalprofile'],
        summary: 'Show an entry',
        description: 'Returns the entry as of the last synchronization with the site.',
        params: EntryPath,
        response: {
          200: successResponse(showSchema(oneExternalEntry, 'The entry.')),
        },
      },
    },
    request => {
      const { profile, id } = rowOf(request)
      return show(belongingTo(relation, profile.id), id, request)
    },
  )

  // As in AnimeThemes, these methods are 403, not 405.
  for (const [method, url, load] of [
    ['POST', '', profileForNewEntry],
    ['PUT', '/:externalentry', writableEntry],
    ['PATCH', '/:externalentry', writableEntry],
    ['DELETE', '/:externalentry', writableEntry],
  ] as const) {
    app.route({
      method,
      url,
      config: { access: { auth: 'required', ability: 'write:externalprofile', load, localOnly } },
      schema: { hide: true },
      handler: async () => {
        throw forbidden()
      },
    })
  }
}

export default entries
