import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContent } from '#src/api/responses.ts'

const csrfCookie: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/csrf-cookie',
    {
      config: { access: { auth: 'none', via: 'session' } },
      schema: {
        operationId: 'sanctum.csrf-cookie',
        tags: ['session'],
        summary: 'Get the cookies of a session',
        description:
          'Sets the session cookie and `XSRF-TOKEN`, whose value every change has to send back as the header `X-XSRF-TOKEN`. Browsers ask for it once, before they log in; other answers refresh both.',
        response: { 204: noContent('The cookies are set.') },
      },
    },
    async (request, reply) => {
      await app.sessions.offer(request, true)
      return reply.code(204).send(null)
    },
  )
}

export default csrfCookie
