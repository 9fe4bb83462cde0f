import type { Schedule } from './schedule.ts'

/** How long repetitions are counted before a line tells how many there were, in milliseconds, unless told otherwise. */
const PERIOD_MS = 1_000

/**
 * Limits how often the same kind of event is logged: under a flood there are as many of them as requests, and writing
 * a line for each would be the larger part of the work. The first is logged at once, and what follows within a period
 * is counted and told in one line at its end.
 *
 * @param write logs one event, or how many there were beyond those that were logged; and, if it is to, that a period
 *   passed without any
 * @param periodMs a second unless given
 * @returns a function that notes an event of a kind
 */
export function countedLog<Event>(
  schedule: Schedule,
  write: { first(event: Event): void; further(kind: string, count: number): void; over?(kind: string): void },
  periodMs: number = PERIOD_MS,
): (kind: string, event: Event) => void {
  const further = new Map<string, number>()

  const endPeriod = (kind: string) => {
    const count = further.get(kind) ?? 0
    if (count === 0) {
      further.delete(kind)
      write.over?.(kind)
      return
    }
    write.further(kind, count)
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
