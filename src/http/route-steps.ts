import type { FastifyContextConfig, onRequestHookHandler, onSendHookHandler, RouteOptions } from 'fastify'
import { initializeRequest } from './request-state.ts'
import { emptyPhases, type Phase, type RouteSteps, runSteps, type Step, stepsFor, traitsOf } from './step.ts'

/** One hook for each of Fastify's phases in which a route has steps. */
export interface RouteHooks {
  onRequest: onRequestHookHandler
  preValidation: onRequestHookHandler[]
  preHandler: onRequestHookHandler[]
  onSend: onSendHookHandler
}

/** The steps of a server, and the hooks that run them. */
export interface StepComposer {
  /** Appends a step to a phase. */
  add(phase: Phase, step: Step): void
  /** Makes the hooks of a route, whose options have to be final. */
  compose(route: RouteOptions): RouteHooks
  /** Makes the hooks of requests without a route. */
  composeUnknown(): Pick<RouteHooks, 'onRequest' | 'onSend'>
}

/** Creates the {@link StepComposer} of a server. */
export function createStepComposer(): StepComposer {
  const all = emptyPhases()
  return {
    add: (phase, step) => all[phase].push(step),
    compose: route => hooksOf(stepsFor(all, traitsOf(route)), { ...route.config, url: route.url }),
    // The guards refuse such requests: there are no later steps.
    composeUnknown: () => hooksOf(stepsFor(all, null), {}),
  }
}

function hooksOf(steps: RouteSteps, config: FastifyContextConfig): RouteHooks {
  const hookOf = (list: readonly Step[]): onRequestHookHandler[] =>
    list.length === 0 ? [] : [(request, reply, done) => runSteps(list, request, reply, done)]
  const { onRequest, onSend } = steps
  const hooks: RouteHooks = {
    onRequest(request, reply, done) {
      initializeRequest(request, reply)
      request.routeConfig = config
      request.hooks = hooks
      runSteps(onRequest, request, reply, done)
    },
    preValidation: hookOf(steps.preValidation),
    preHandler: hookOf(steps.preHandler),
    onSend: (request, reply, _payload, done) => runSteps(onSend, request, reply, done),
  }
  return hooks
}
