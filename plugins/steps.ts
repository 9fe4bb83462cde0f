import fp from 'fastify-plugin'
import { routeStepLists } from '#src/http/route-steps.ts'
import { type Phase, type RouteSteps, runSteps, type Step } from '#src/http/step.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a step to the pipeline, behind those that its phase has already. */
    addStep(phase: Phase, step: Step): void
  }
  interface FastifyContextConfig {
    /** The steps that requests to the route pass: filled in when the server starts. */
    steps?: RouteSteps
  }
  interface FastifyRequest {
    /** What the route says of itself. Fastify makes it anew each time that it is asked. */
    routeConfig: FastifyContextConfig & { url?: string }
    steps: RouteSteps
    /** Whether the guards wait for the body, since the CSRF token can only be there. */
    awaitsBody: boolean
  }
}

/** Adds `app.addStep()`, and runs for each request the steps that its route needs, chosen once when the server starts. */
export default fp(
  async app => {
    const lists = routeStepLists()
    app.decorate('addStep', lists.add)
    app.addHook('onRoute', lists.addRoute)
    // Not sooner: encapsulated parts of the server complete the options of their routes.
    app.addHook('onReady', async () => lists.choose())
    app.decorateRequest('routeConfig')
    app.decorateRequest('steps')
    app.decorateRequest('awaitsBody', false)
    app.addHook('onRequest', (request, reply, done) => {
      request.routeConfig = request.routeOptions.config
      request.steps = lists.of(request.routeConfig)
      runSteps(request.steps.onRequest, request, reply, done)
    })
    app.addHook('preValidation', (request, reply, done) => {
      runSteps(request.steps.preValidation, request, reply, done)
    })
    app.addHook('preHandler', (request, reply, done) => {
      runSteps(request.steps.preHandler, request, reply, done)
    })
    app.addHook('onSend', (request, reply, _payload, done) => {
      runSteps(request.steps.onSend, request, reply, done)
    })
  },
  { name: 'steps' },
)
