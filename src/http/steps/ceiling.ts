import { tooManyRequests } from '#src/responses/errors.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Gate } from '../gate.ts'
import { isHealthCheck } from '../request.ts'
import type { Step } from '../step.ts'

/**
 * Refuses clients over the ceiling of their address (429), before any lookup. Health checks are not counted: an
 * orchestrator may share its address with a flood.
 */
export function ceilingStep({
  gate,
  clock,
  metrics,
}: {
  gate: Gate
  clock: () => EpochMillis
  metrics: { countRateLimited(limit: 'ceiling'): void }
}): Step {
  return {
    // By route, not by path: unknown paths below the health checks are counted.
    appliesTo: route => !isHealthCheck(route?.url),
    run(request, reply) {
      const over = gate.count(request.raw, request.clientAddress)
      if (over === null) return
      metrics.countRateLimited('ceiling')
      // Not thrown: the panel would render a page.
      const { statusCode, headers, body } = tooManyRequests(over, clock())
      reply.code(statusCode).headers(headers).send(body)
      return 'responded'
    },
  }
}
