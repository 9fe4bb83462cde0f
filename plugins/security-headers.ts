import fp from 'fastify-plugin'
import { securityHeaders } from '#src/http/security-headers.ts'

/** Puts the security headers on every answer, and the request's id. */
export default fp(
  async app => {
    const headers = securityHeaders(app.config)
    app.addStep('onRequest', {
      run(request, reply) {
        reply.headers(headers).header('x-request-id', request.id)
      },
    })
  },
  { name: 'security-headers', dependencies: ['steps'] },
)
