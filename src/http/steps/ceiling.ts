import { tooManyRequests } from '#src/responses/errors.ts'
import type { Gate } from '../gate.ts'
import { isHealthCheck } from '../request.ts'
import type { Step } from '../step.ts'

/**
 * Refuses clients that send far more than any limit allows, whatever they ask for, before anything is looked up (429).
 * Health checks are not counted: an orchestrator may share its address with a flood.
 *
 * @param needs.clock milliseconds since the epoch
 */
export function ceilingStep({
  gate,
  clock,
  metrics,
}: {
  gate: Gate
  clock: () => number
  metrics: { rateLimited(limit: 'ceiling'): void }
}): Step {
  return {
    // By the route: what is under the same path and has none is counted.
    appliesTo: route => !isHealthCheck(route?.url),
    run(request, reply) {
      const over = gate.count(request.raw, request.clientAddress)
      if (over === null) return
      metrics.rateLimited('ceiling')
      // Not thrown: the panel would render a page of it.
      const { statusCode, headers, body } = tooManyRequests(over, clock())
      reply.code(statusCode).headers(headers).send(body)
      return 'answered'
    },
  }
}
