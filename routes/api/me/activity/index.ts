import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myActivities as endpoint } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { ownPageHandler } from '#src/lists/own-list.ts'
import { pageSchema } from '#src/query/openapi.ts'
import { where } from '#src/query/scope.ts'

const activity: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: 'read:me' }, endpoint },
      schema: {
        operationId: 'me.activity.index',
        tags: ['me'],
        summary: "List the activity of the user's account",
        description:
          'Returns logins, failed logins, changes and token events of the last year with their client addresses, newest first.',
        response: { 200: successResponse(pageSchema(endpoint, 'A page of activities.')) },
      },
    },
    ownPageHandler(app, endpoint, ({ id }) => where('user_id', '=', id)),
  )
}

export default activity
