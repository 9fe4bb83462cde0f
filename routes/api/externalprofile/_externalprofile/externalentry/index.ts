import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { MESSAGES } from '#src/answers/messages.ts'
import { externalEntries as endpoint, oneExternalEntry } from '#src/api/endpoints.ts'
import { externalProfile } from '#src/api/resources.ts'
import { failure, success } from '#src/api/responses.ts'
import { externalProfileAccess } from '#src/lists/external-profile-access.ts'
import { listing, showing } from '#src/lists/listing.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { relationAt } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'

const InProfile = Type.Object({
  externalprofile: Type.String({ description: "The external profile's id.", examples: ['3'] }),
})
const Params = Type.Object({
  ...InProfile.properties,
  externalentry: Type.String({ description: "The entry's id.", examples: ['12'] }),
})

const toView = {
  auth: 'optional',
  ability: 'read:externalprofile',
  permission: 'view external entry',
  checked: 'after the row',
} as const

const entries: FastifyPluginAsyncTypebox = async app => {
  const access = externalProfileAccess(app)
  const relation = relationAt(externalProfile, ['externalentries'])
  const list = listing(app, endpoint)
  const show = showing(app, oneExternalEntry)

  app.get(
    '',
    {
      config: { access: toView, endpoint },
      schema: {
        operationId: 'externalprofile.externalentry.index',
        tags: ['externalprofile'],
        summary: "List an external profile's entries",
        description: 'What the other site said when it was last asked, oldest first.',
        params: InProfile,
        response: {
          200: success(pageSchema(endpoint, 'A page of entries.'), { isLimited: true }),
          404: failure('There is no such external profile.', MESSAGES.notFound),
        },
      },
    },
    async request => {
      const { id } = await access.profileToSee(request)
      return list(request, () => belongingTo(relation, id))
    },
  )

  app.get(
    '/:externalentry',
    {
      config: { access: toView, endpoint: oneExternalEntry },
      schema: {
        operationId: 'externalprofile.externalentry.show',
        tags: ['externalprofile'],
        summary: 'Show an entry',
        description: 'What the other site said when it was last asked.',
        params: Params,
        response: {
          200: success(showSchema(oneExternalEntry, 'The entry.'), { isLimited: true }),
          404: failure('There is no such external profile, or it has no such entry.', MESSAGES.notFound),
        },
      },
    },
    async request => {
      const { profile, id } = await access.entryToSee(request)
      return show(belongingTo(relation, profile.id), id, request)
    },
  )

  // Clients of the reference are told that they may not, rather than that there is no such method.
  for (const [method, url] of [
    ['POST', ''],
    ['PUT', '/:externalentry'],
    ['PATCH', '/:externalentry'],
    ['DELETE', '/:externalentry'],
  ] as const) {
    app.route({
      method,
      url,
      config: { access: { auth: 'required', ability: 'write:externalprofile' } },
      schema: { hide: true },
      handler: access.refuseEntryChange,
    })
  }
}

export default entries
