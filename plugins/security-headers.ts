import fp from 'fastify-plugin'
import { setCommonHeaders } from '#src/http/response.ts'
import { commonHeaders } from '#src/http/security-headers.ts'

/** Sets the security headers and `X-Request-Id` of responses that do not have them by their class: those of `app.inject()`. */
export default fp(
  async app => {
    const headers = commonHeaders(app.config)
    app.addStep('onRequest', {
      run(_request, reply) {
        setCommonHeaders(reply, headers)
      },
    })
  },
  { name: 'security-headers', dependencies: ['steps'] },
)
