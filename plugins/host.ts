import fp from 'fastify-plugin'
import { hostStep } from '#src/http/steps/host.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route accepts any host. */
    anyHost?: boolean
  }
}

/** Refuses requests with an ambiguous host, and in production those with an unknown host. */
export default fp(async app => app.addStep('onRequest', hostStep(app)), {
  name: 'host',
  dependencies: ['steps'],
})
