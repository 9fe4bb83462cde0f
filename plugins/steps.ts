import type { onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { createStepComposer, type RouteHooks } from '#src/http/route-steps.ts'
import type { Phase, Step } from '#src/http/step.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Appends a step to a phase of the pipeline. */
    addStep(phase: Phase, step: Step): void
    /** Makes hooks of the steps that each following route needs. No step can be added afterwards. */
    composeSteps(): void
  }
  interface FastifyContextConfig {
    /** The path of the route; undefined for requests without a route. */
    url?: string
  }
  interface FastifyRequest {
    /** The config of the route. Fastify's `routeOptions` creates an object on each access. */
    routeConfig: FastifyContextConfig
    /** The hooks of the route. */
    hooks: Pick<RouteHooks, 'onSend'>
    /** Whether the guards run after the body is read, since the CSRF token can only be there. */
    awaitsBody: boolean
  }
}

/** Adds `app.addStep()` and `app.composeSteps()`. The steps of a route are selected once, when it is registered. */
export default fp(
  async app => {
    const composer = createStepComposer()
    let isComposed = false
    app.decorate('addStep', (phase, step) => {
      if (isComposed) throw new Error('A step was added after the steps were composed.')
      composer.add(phase, step)
    })
    app.decorate('composeSteps', () => {
      isComposed = true
      const unknown = composer.composeUnknown()
      app.addHook('onRequest', function (request, reply, done) {
        if (request.is404) unknown.onRequest.call(this, request, reply, done)
        else done()
      })
      // After the other hooks of this kind, which complete the config.
      app.addHook('onRoute', route => {
        const hooks = composer.compose(route)
        route.onRequest = [hooks.onRequest, ...listOf(route.onRequest)]
        route.preValidation = [...hooks.preValidation, ...listOf(route.preValidation)]
        route.preHandler = [...hooks.preHandler, ...listOf(route.preHandler)]
      })
      app.addHook('onSend', function (request, reply, payload, done) {
        return request.hooks.onSend.call(this, request, reply, payload, done)
      })
    })
    app.addHook('onRoute', ({ method, url }) => {
      if (!isComposed)
        throw new Error(`The route ${method} ${url} would have no steps: they are not composed yet.`)
    })
  },
  { name: 'steps' },
)

const listOf = (hooks: unknown) => [hooks ?? []].flat() as onRequestHookHandler[]
