import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { countedLog } from '#src/runtime/counted-log.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Gate, HostFault } from '../gate.ts'
import type { Step } from '../step.ts'

/** Longer than the name of any host (RFC 1035 §3.1), with a port: what is sent beyond it is not logged. */
const MAX_LOGGED = 260

const SENTENCES: Record<HostFault, string> = {
  ambiguous: MESSAGES.ambiguousHost,
  unknown: MESSAGES.unknownHost,
}

interface Needs {
  config: Pick<Config, 'appUrl' | 'appHosts'>
  gate: Gate
  schedule: Schedule
  log: FastifyBaseLogger
}

/**
 * Refuses requests that name two hosts, and in production those that name another than ours (400). Health checks name the
 * machine's address, and so those routes answer to any.
 */
export function hostStep({ config: { appUrl, appHosts }, gate, schedule, log }: Needs): Step {
  const listed = appHosts.join(',') || 'empty'
  const logRefused = countedLog<FastifyRequest>(
    schedule,
    {
      first: ({ host, log }) =>
        log.warn(
          { host: host.slice(0, MAX_LOGGED) },
          `a request was refused: its host is neither that of APP_URL (${appUrl.hostname}) nor in APP_HOSTS (${listed})`,
        ),
      further: (_kind, count) =>
        log.warn({ count }, 'further requests were refused within a minute, since their hosts are not ours'),
    },
    MINUTE_MS,
  )
  return {
    run(request) {
      const fault = gate.hostFault(request.raw, request.routeConfig.anyHost)
      if (fault === null) return
      if (fault === 'unknown') logRefused('unknown host', request)
      throw new HttpError(400, SENTENCES[fault])
    },
  }
}
