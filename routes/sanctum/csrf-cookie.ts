import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { noContentResponse } from '#src/api/responses.ts'

const csrfCookie: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/csrf-cookie',
    {
      config: { access: { auth: 'none', via: 'session' } },
      schema: {
        operationId: 'sanctum.csrf-cookie',
        tags: ['session'],
        summary: 'Get the session cookies',
        description: `Sets the session cookie and \`${app.config.csrfCookie}\`. Unsafe requests must send the value of the latter in the header \`X-XSRF-TOKEN\`. Needed once, before login; later responses refresh both cookies.`,
        response: { 204: noContentResponse('The cookies were set.') },
      },
    },
    async (request, reply) => {
      await app.sessions.ensureSession(request, true)
      return reply.code(204).send(null)
    },
  )
}

export default csrfCookie
