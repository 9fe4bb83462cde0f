import fp from 'fastify-plugin'
import { buildSecurityHeaders } from '#src/http/security-headers.ts'

/** Sets the security headers and `X-Request-Id` of every response. */
export default fp(
  async app => {
    const headers = buildSecurityHeaders(app.config)
    app.addStep('onRequest', {
      run(request, reply) {
        reply.headers(headers).header('x-request-id', request.id)
      },
    })
  },
  { name: 'security-headers', dependencies: ['steps'] },
)
