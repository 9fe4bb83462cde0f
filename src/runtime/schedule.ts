import type { Millis } from './units.ts'

/** Schedules a callback; the returned function cancels it. The timer keeps no process alive. */
export type Schedule = (ms: Millis, callback: () => void) => () => void

/** A {@link Schedule} by Node's timers. */
export const scheduleTimer: Schedule = (ms, callback) => {
  const timer = setTimeout(callback, ms).unref()
  return () => clearTimeout(timer)
}
