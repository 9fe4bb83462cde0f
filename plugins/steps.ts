import type { FastifyContextConfig, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import {
  noSteps,
  type Phase,
  type RouteSteps,
  runSteps,
  type Step,
  stepsFor,
  traitsOf,
} from '#src/http/step.ts'

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
    const all = noSteps()
    app.decorate('addStep', (phase, step) => {
      all[phase].push(step)
    })
    const routes: RouteOptions[] = []
    const ofUnknown: RouteSteps = noSteps()
    app.addHook('onRoute', route => {
      route.config = { ...route.config, steps: noSteps() }
      routes.push(route)
    })
    // Not sooner: encapsulated parts of the server complete the options of their routes.
    app.addHook('onReady', async () => {
      Object.assign(ofUnknown, stepsFor(all, null))
      for (const route of routes) Object.assign(route.config?.steps ?? {}, stepsFor(all, traitsOf(route)))
    })

    app.decorateRequest('routeConfig')
    app.decorateRequest('steps')
    app.decorateRequest('awaitsBody', false)
    app.addHook('onRequest', (request, reply, done) => {
      const config: FastifyContextConfig = request.routeOptions.config
      request.routeConfig = config
      request.steps = config.steps ?? ofUnknown
      runSteps(request.steps.onRequest, request, reply, error => {
        if (error !== undefined || request.awaitsBody) done(error)
        else runSteps(request.steps.guard, request, reply, done)
      })
    })
    app.addHook('preValidation', (request, reply, done) => {
      const { preValidation, guard, authorize } = request.steps
      const authorizeNow = (error?: Error) =>
        error === undefined ? runSteps(authorize, request, reply, done) : done(error)
      runSteps(preValidation, request, reply, error => {
        if (error === undefined && request.awaitsBody) runSteps(guard, request, reply, authorizeNow)
        else authorizeNow(error)
      })
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
