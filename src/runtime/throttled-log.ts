import type { Schedule } from './schedule.ts'
import type { Millis } from './units.ts'

/** The default period in which repetitions are counted. */
const PERIOD_MS: Millis = 1_000

/**
 * Makes a log that throttles events of the same kind: in a flood there are as many as requests, and a line for each
 * would be most of the work. The first is logged at once; repetitions within a period are counted and logged in one
 * line at its end.
 *
 * @param write logs the first event, the number of repetitions, and optionally that a period passed without an event
 * @param periodMs one second by default
 * @returns a function that logs an event of a kind
 */
export function throttledLog<Event>(
  schedule: Schedule,
  write: {
    first(event: Event): void
    repeated(kind: string, count: number): void
    quiet?(kind: string): void
  },
  periodMs: Millis = PERIOD_MS,
): (kind: string, event: Event) => void {
  const further = new Map<string, number>()

  const endPeriod = (kind: string) => {
    const count = further.get(kind) ?? 0
    if (count === 0) {
      further.delete(kind)
      write.quiet?.(kind)
      return
    }
    write.repeated(kind, count)
    further.set(kind, 0)
    schedule(periodMs, () => endPeriod(kind))
  }

  return (kind, event) => {
    const count = further.get(kind)
    if (count !== undefined) {
      further.set(kind, count + 1)
      return
    }
    further.set(kind, 0)
    schedule(periodMs, () => endPeriod(kind))
    write.first(event)
  }
}
