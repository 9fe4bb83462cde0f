import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myActivities as endpoint } from '#src/api/endpoints.ts'
import { success } from '#src/api/responses.ts'
import { ownList } from '#src/lists/own-list.ts'
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
        summary: "List what happened to the user's account",
        description:
          'Logins, wrong passwords, changes and tokens of the last year, newest first, each with the address that it came from.',
        response: { 200: success(pageSchema(endpoint, 'A page of activities.')) },
      },
    },
    ownList(app, endpoint, ({ id }) => where('user_id', '=', id)),
  )
}

export default activity
