import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContentResponse } from '#src/api/responses.ts'

const logout: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/logout',
    {
      config: { access: { auth: 'required', via: 'session', whileBanned: true, beforeSecondFactor: true } },
      schema: {
        operationId: 'logout',
        tags: ['session'],
        summary: 'Log out',
        description:
          'Ends the session, forgets the browser if it is remembered, and starts a new guest session. Other sessions, browsers and tokens remain valid.',
        response: { 204: noContentResponse('The session was ended.') },
      },
    },
    async (request, reply) => {
      await app.login.logOut(request)
      return reply.code(204).send(null)
    },
  )
}

export default logout
