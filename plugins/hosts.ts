import fp from 'fastify-plugin'
import { HttpError } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'

/**
 * Refuses requests that name two hosts, and in production those that name another than ours. Health checks name the
 * machine's address, and so those routes answer to any.
 */
export default fp(
  async app => {
    app.addHook('onRequest', (request, _reply, done) => {
      const isForUs = app.gate.isForUs(request.raw, request.routeConfig.anyHost)
      done(isForUs ? undefined : new HttpError(400, MESSAGES.badRequest))
    })
  },
  { name: 'hosts', dependencies: ['security-headers'] },
)

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route answers whatever host the request names. */
    anyHost?: boolean
  }
}
