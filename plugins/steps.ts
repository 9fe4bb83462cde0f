import fp from 'fastify-plugin'
import { createRouteStepLists } from '#src/http/route-steps.ts'
import { type Phase, type RouteSteps, runSteps, type Step } from '#src/http/step.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Appends a step to a phase of the pipeline. */
    addStep(phase: Phase, step: Step): void
  }
  interface FastifyContextConfig {
    /** The steps of the route, selected when the server starts. */
    steps?: RouteSteps
  }
  interface FastifyRequest {
    /** The config of the route. Cached, since Fastify creates the object on each access. */
    routeConfig: FastifyContextConfig & { url?: string }
    steps: RouteSteps
    /** Whether the guards run after the body is read, since the CSRF token can only be there. */
    awaitsBody: boolean
  }
}

/** Adds `app.addStep()`, and runs the steps of each request's route. They are selected once, when the server starts. */
export default fp(
  async app => {
    const stepLists = createRouteStepLists()
    app.decorate('addStep', stepLists.add)
    app.addHook('onRoute', stepLists.addRoute)
    // Not earlier: encapsulated contexts complete the options of their routes.
    app.addHook('onReady', async () => stepLists.choose())
    app.decorateRequest('routeConfig')
    app.decorateRequest('steps')
    app.decorateRequest('awaitsBody', false)
    app.addHook('onRequest', (request, reply, done) => {
      request.routeConfig = request.routeOptions.config
      request.steps = stepLists.of(request.routeConfig)
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
