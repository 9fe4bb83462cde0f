import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContent } from '#src/api/responses.ts'
import { deleteUser } from '#src/database/deleted-users.ts'

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
      const userId = await request.authorized(async (transaction, { user }) => {
        await deleteUser(transaction, user.id, app.clock())
        return user.id
      })
      request.record('account deleted', { userId })
      app.devices.send(request, null)
      await app.sessions.start(request)
      return reply.code(204).send(null)
    },
  )
}

export default account
