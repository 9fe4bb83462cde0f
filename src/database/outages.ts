import type { FastifyBaseLogger } from 'fastify'
import type { Schedule } from '#src/runtime/schedule.ts'
import { throttledLog } from '#src/runtime/throttled-log.ts'
import type { Millis } from '#src/runtime/units.ts'
import { isOutage } from './unavailable.ts'

/** How often an ongoing outage is logged. */
const PERIOD_MS: Millis = 60_000

/**
 * Logs an error that an outage of the database causes, once per period for all requests.
 *
 * @returns false for any other error, which the caller has to log
 */
export type LogOutage = (error: unknown) => boolean

/** Makes the {@link LogOutage} of a logger. */
export function outageLog(schedule: Schedule, log: FastifyBaseLogger): LogOutage {
  const note = throttledLog<Error>(
    schedule,
    {
      first: ({ message }) => log.error({ retry: 'until it responds' }, message),
      repeated: (_kind, failures) =>
        log.error({ failures }, 'the database was not available within the last minute'),
      quiet: () => log.info('the database was available for a minute'),
    },
    PERIOD_MS,
  )
  return error => {
    if (!isOutage(error)) return false
    note('database', error)
    return true
  }
}
