import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContentResponse } from '#src/api/responses.ts'

const account: FastifyPluginAsyncTypebox = async app => {
  app.delete(
    '',
    {
      config: { access: { auth: 'required', via: 'session', password: 'confirmed' } },
      schema: {
        operationId: 'user.delete',
        tags: ['account'],
        summary: 'Delete the account',
        description:
          'Ends all sessions and revokes all remembered browsers and tokens of the user immediately. The account and its playlists are deleted permanently after a month.',
        response: { 204: noContentResponse('The account was deleted.') },
      },
    },
    async (request, reply) => {
      await app.accounts.delete(request)
      return reply.code(204).send(null)
    },
  )
}

export default account
