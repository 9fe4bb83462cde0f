import type { FastifyBaseLogger } from 'fastify'
import { countedLog } from '#src/runtime/counted-log.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import { isOutage } from './unavailable.ts'

/** How often a line says that the database is still away, in milliseconds. */
const PERIOD_MS = 60_000

/**
 * Notes an error that comes of the database being away, which is logged once now and then for all who meet it.
 *
 * @returns false for any other error, which its caller has to log
 */
export type NoteOutage = (error: unknown) => boolean

/** Makes the {@link NoteOutage} of a log. */
export function outages(schedule: Schedule, log: FastifyBaseLogger): NoteOutage {
  const note = countedLog<Error>(
    schedule,
    {
      first: ({ message }) => log.error({ retry: 'until it answers' }, message),
      further: (_kind, failures) =>
        log.error({ failures }, 'the database was not available within the last minute'),
      over: () => log.info('the database was available for a minute'),
    },
    PERIOD_MS,
  )
  return error => {
    if (!isOutage(error)) return false
    note('database', error)
    return true
  }
}
