import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myPlaylists as endpoint } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { ownPageHandler } from '#src/lists/own-list.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'

const list: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: {
        access: { auth: 'required', ability: 'read:playlist', permission: 'view playlist' },
        endpoint,
      },
      schema: {
        operationId: 'me.playlist.index',
        tags: ['me'],
        summary: "List the user's playlists",
        description: 'Returns the playlists of the authenticated user, of every visibility, newest first.',
        response: { 200: successResponse(pageSchema(endpoint, 'A page of playlists.')) },
      },
    },
    ownPageHandler(app, endpoint, ({ id }) => where('user_id', '=', id)),
  )
}

export default list
