import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContent } from '#src/api/responses.ts'

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
          'Ends all sessions, remembered browsers and tokens of the user at once. The account is deleted for good after a month, with its playlists.',
        response: { 204: noContent('The account is deleted.') },
      },
    },
    async (request, reply) => {
      await app.accounts.delete(request)
      return reply.code(204).send(null)
    },
  )
}

export default account
