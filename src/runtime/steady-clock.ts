import type { EpochMillis, MonotonicMillis } from './units.ts'

/**
 * Makes a clock for windows that are stored for other processes: the wall clock's time at startup, advanced by the
 * monotonic clock, so that setting the wall clock neither ends nor extends a window. Processes agree as far as their
 * wall clocks did at startup.
 *
 * @returns whole milliseconds
 */
export function steadyClock(clock: () => EpochMillis, monotonic: () => MonotonicMillis): () => EpochMillis {
  const offset = clock() - monotonic()
  return () => Math.round(offset + monotonic())
}
