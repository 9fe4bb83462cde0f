import type { FastifyContextConfig, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { isSafe } from '#src/auth/safe-methods.ts'

/**
 * When a step runs.
 *
 * - `onRequest`: when the head of a request has arrived.
 * - `guard`: after `onRequest`, or after `preValidation` if the CSRF token can only be in the body.
 * - `preValidation`: when the body is read.
 * - `authorize`: after the guards, before the input is validated.
 * - `preHandler`: after validation, before the handler.
 * - `onSend`: before the response is sent.
 */
export type Phase = 'onRequest' | 'guard' | 'preValidation' | 'authorize' | 'preHandler' | 'onSend'

/** `responded`: the step has sent the response, and no further step runs. */
export type Verdict = 'responded' | undefined

/** The properties of a route by which steps are selected. */
export interface RouteTraits {
  readonly url: string
  readonly methods: readonly string[]
  /** Whether any of its methods is unsafe (RFC 9110 §9.2.1). */
  readonly isUnsafe: boolean
  readonly config: FastifyContextConfig
}

/** A step of the pipeline: continues, responds, or refuses the request by throwing. */
export interface Step {
  /**
   * Whether requests to a route need the step. All do by default. Called once for each route when the server starts, and
   * with null for requests without a route.
   */
  appliesTo?(route: RouteTraits | null): boolean
  run(request: FastifyRequest, reply: FastifyReply): Verdict | Promise<unknown>
}

/** All steps by phase, in order of addition. */
export type StepsByPhase = Record<Phase, Step[]>

/** Returns empty lists for all phases. */
export const emptyPhases = (): StepsByPhase => ({
  onRequest: [],
  guard: [],
  preValidation: [],
  authorize: [],
  preHandler: [],
  onSend: [],
})

/** The steps of one route, by the Fastify hook that runs them. */
export type RouteSteps = Readonly<
  Record<'onRequest' | 'preValidation' | 'preHandler' | 'onSend', readonly Step[]>
>

/** Returns the traits of a route, from its options. */
export const traitsOf = ({ url, method, config = {} }: RouteOptions): RouteTraits => {
  const methods = [method].flat()
  return { url, methods, config, isUnsafe: methods.some(one => !isSafe(one)) }
}

/** Selects the steps that a route needs; null for requests without a route. */
export function stepsFor(all: StepsByPhase, route: RouteTraits | null): RouteSteps {
  const chosen = (phase: Phase) => all[phase].filter(step => step.appliesTo?.(route) ?? true)
  const guards = chosen('guard')
  // Only unsafe requests have a CSRF token, which may be in the body.
  const mayAwaitBody = route?.isUnsafe === true
  return {
    onRequest: [...chosen('onRequest'), ...(mayAwaitBody ? guards.map(skipIfBodyAwaited) : guards)],
    preValidation: [
      ...chosen('preValidation'),
      ...(mayAwaitBody ? guards.map(runIfBodyAwaited) : []),
      ...chosen('authorize'),
    ],
    preHandler: chosen('preHandler'),
    onSend: chosen('onSend'),
  }
}

const skipIfBodyAwaited = (step: Step): Step => ({
  run: (request, reply) => (request.awaitsBody ? undefined : step.run(request, reply)),
})

const runIfBodyAwaited = (step: Step): Step => ({
  run: (request, reply) => (request.awaitsBody ? step.run(request, reply) : undefined),
})

/**
 * Runs steps in order until one responds or throws. Synchronous steps allocate neither a promise nor a closure, since
 * this is on the hot path of every request.
 *
 * @param done called with the error of a step, or without one to continue; not called after a response
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
    if (outcome !== 'responded') continueAfter(outcome, steps, request, reply, done, index + 1)
    return
  }
  done()
}

/** Continues with the next steps when an asynchronous step has finished. */
function continueAfter(pending: Promise<unknown>, ...rest: Parameters<typeof runSteps>): void {
  const [, , reply, done] = rest
  pending.then(verdict => {
    // The request may have timed out in the meantime, with 503.
    if (verdict !== 'responded' && !reply.sent) runSteps(...rest)
  }, done)
}
