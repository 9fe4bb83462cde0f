import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { throttledLog } from '#src/runtime/throttled-log.ts'
import type { Gate, HostFault } from '../gate.ts'
import type { Step } from '../step.ts'

/** Truncates logged hosts. Longer than any host name (RFC 1035 §3.1) with a port. */
const MAX_LOGGED = 260

const FAULT_MESSAGES: Record<HostFault, string> = {
  malformed: MESSAGES.malformedForwarded,
  ambiguous: MESSAGES.ambiguousHost,
  unknown: MESSAGES.unknownHost,
}

interface Dependencies {
  config: Pick<Config, 'appUrl' | 'appHosts'>
  gate: Gate
  schedule: Schedule
  log: FastifyBaseLogger
}

/**
 * Refuses requests with an ambiguous host, and in production those with an unknown host (400). Routes with `anyHost` accept
 * any host: health checks name the address of the machine.
 */
export function hostStep({ config: { appUrl, appHosts }, gate, schedule, log }: Dependencies): Step {
  const listed = appHosts.join(',') || 'empty'
  const logRefused = throttledLog<FastifyRequest>(
    schedule,
    {
      first: ({ host, log }) =>
        log.warn(
          { host: host.slice(0, MAX_LOGGED) },
          `request refused: its host is neither that of APP_URL (${appUrl.hostname}) nor in APP_HOSTS (${listed})`,
        ),
      repeated: (_kind, count) =>
        log.warn({ count }, 'further requests were refused within a minute: unknown hosts'),
    },
    MINUTE_MS,
  )
  return {
    run(request) {
      const fault = gate.hostFault(request.raw, request.routeConfig.anyHost)
      if (fault === null) return
      if (fault === 'unknown') logRefused('unknown host', request)
      throw new HttpError(400, FAULT_MESSAGES[fault])
    },
  }
}
