import type { FastifyContextConfig, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { isSafe } from '#src/auth/safe-methods.ts'

/**
 * When a step runs: with the head of a request; as a guard, which is with the head too, but with the body where the CSRF
 * token can only be there; once the body is read; when the guards have let the request pass, before its input is judged;
 * before the handler; and before the answer is sent.
 */
export type Phase = 'onRequest' | 'guard' | 'preValidation' | 'authorize' | 'preHandler' | 'onSend'

/** What a step returns that has answered the request itself: no further step runs. */
export type Verdict = 'answered' | undefined

/** What steps know of a route when it is registered. */
export interface RouteTraits {
  readonly url: string
  readonly methods: readonly string[]
  /** Whether any of its methods asks for something to be changed (RFC 9110 §9.2.1). */
  readonly isUnsafe: boolean
  readonly config: FastifyContextConfig
}

/** A step of the pipeline: a plain function that lets a request go on, answers it, or refuses it by what it throws. */
export interface Step {
  /**
   * Whether requests to a route need the step: all of them unless it is given. It is asked once for each route, when the
   * server starts; null stands for the requests that no route takes.
   */
  appliesTo?(route: RouteTraits | null): boolean
  run(request: FastifyRequest, reply: FastifyReply): Verdict | Promise<unknown>
}

/** All steps by phase, each phase in the order in which its steps were added. */
export type AllSteps = Record<Phase, Step[]>

/** A pipeline without steps. */
export const noSteps = (): AllSteps => ({
  onRequest: [],
  guard: [],
  preValidation: [],
  authorize: [],
  preHandler: [],
  onSend: [],
})

/** The steps of one route, by the hook of Fastify's that runs them. */
export type RouteSteps = Record<'onRequest' | 'preValidation' | 'preHandler' | 'onSend', readonly Step[]>

/** A route without steps. */
export const noRouteSteps = (): RouteSteps => ({
  onRequest: [],
  preValidation: [],
  preHandler: [],
  onSend: [],
})

/** What steps go by of a route's options. */
export const traitsOf = ({ url, method, config = {} }: RouteOptions): RouteTraits => {
  const methods = [method].flat()
  return { url, methods, config, isUnsafe: methods.some(one => !isSafe(one)) }
}

/** Chooses the steps that a route needs; null for the requests that no route takes. */
export function stepsFor(all: AllSteps, route: RouteTraits | null): RouteSteps {
  const chosen = (phase: Phase) => all[phase].filter(step => step.appliesTo?.(route) ?? true)
  const guards = chosen('guard')
  // Only a change can have its CSRF token in the body.
  const mayAwaitBody = route?.isUnsafe === true
  return {
    onRequest: [...chosen('onRequest'), ...(mayAwaitBody ? guards.map(unlessBodyIsAwaited) : guards)],
    preValidation: [
      ...chosen('preValidation'),
      ...(mayAwaitBody ? guards.map(ifBodyWasAwaited) : []),
      ...chosen('authorize'),
    ],
    preHandler: chosen('preHandler'),
    onSend: chosen('onSend'),
  }
}

const unlessBodyIsAwaited = (step: Step): Step => ({
  run: (request, reply) => (request.awaitsBody ? undefined : step.run(request, reply)),
})

const ifBodyWasAwaited = (step: Step): Step => ({
  run: (request, reply) => (request.awaitsBody ? step.run(request, reply) : undefined),
})

/**
 * Runs steps one after the other until one answers or throws. Steps that are done at once cost neither a promise nor a
 * closure: every request comes by here.
 *
 * @param done called with the error of a step, or without one when the request goes on; not at all once it is answered
 * @param first the index of the step to begin with
 */
export function runSteps(
  steps: readonly Step[],
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
  first = 0,
): void {
  for (let index = first; index < steps.length; index += 1) {
    let outcome: ReturnType<Step['run']>
    try {
      outcome = (steps[index] as Step).run(request, reply)
    } catch (error) {
      done(error as Error)
      return
    }
    if (outcome === undefined) continue
    if (outcome !== 'answered') runAfter(outcome, steps, request, reply, done, index + 1)
    return
  }
  done()
}

/** Goes on with further steps once one that takes a while is done. */
function runAfter(pending: Promise<unknown>, ...rest: Parameters<typeof runSteps>): void {
  const [, , reply, done] = rest
  pending.then(verdict => {
    // It may have been answered meanwhile, by 503 for what took too long.
    if (verdict !== 'answered' && !reply.sent) runSteps(...rest)
  }, done)
}
