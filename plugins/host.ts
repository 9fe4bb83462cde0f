import fp from 'fastify-plugin'
import { hostStep } from '#src/http/steps/host.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route answers whatever host the request names. */
    anyHost?: boolean
  }
}

/** Refuses requests that name two hosts, and in production those that name another than ours. */
export default fp(async app => app.addStep('onRequest', hostStep(app)), {
  name: 'host',
  dependencies: ['steps'],
})
