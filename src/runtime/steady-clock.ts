/**
 * A clock for windows that are stored where other processes read them: it shows the wall clock's time of now, and goes
 * on by the monotonic clock, so that setting the wall clock neither ends such a window nor makes it longer. Processes
 * agree as far as their wall clocks did when each was started.
 *
 * @param clock milliseconds since the epoch
 * @param monotonic milliseconds since a moment that does not change
 * @returns whole milliseconds since the epoch
 */
export function steadyClock(clock: () => number, monotonic: () => number): () => number {
  const offset = clock() - monotonic()
  return () => Math.round(offset + monotonic())
}
