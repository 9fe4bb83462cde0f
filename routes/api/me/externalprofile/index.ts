import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myExternalProfiles as endpoint } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { ownPageHandler } from '#src/lists/own-list.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'

const list: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: {
        access: { auth: 'required', ability: 'read:externalprofile', permission: 'view external profile' },
        endpoint,
      },
      schema: {
        operationId: 'me.externalprofile.index',
        tags: ['me'],
        summary: "List the user's external profiles",
        description: 'Returns the profiles of the authenticated user on other sites, of every visibility.',
        response: { 200: successResponse(pageSchema(endpoint, 'A page of external profiles.')) },
      },
    },
    ownPageHandler(app, endpoint, ({ id }) => where('user_id', '=', id)),
  )
}

export default list
