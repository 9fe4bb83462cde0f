import fp from 'fastify-plugin'
import { HttpError } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'

/**
 * Refuses requests that name another host than ours, in production. Health checks name the machine's address,
 * and so those routes answer to any.
 */
export default fp(
  async app => {
    if (app.config.appEnv !== 'production') return

    const judge = app.gate.isOwnHost
    // Most requests name the same host as the one before.
    let last = ''
    let isOurs = judge(last)

    app.addHook('onRequest', (request, _reply, done) => {
      const named = request.host ?? ''
      if (named !== last) [last, isOurs] = [named, judge(named)]
      done(isOurs || request.routeConfig.anyHost ? undefined : new HttpError(400, MESSAGES.badRequest))
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
