/**
 * Does something once some milliseconds have passed, unless the function that it returns is called before. What is
 * scheduled keeps no process alive.
 */
export type Schedule = (ms: number, act: () => void) => () => void

/** A {@link Schedule} by Node's timers. */
export const scheduleTimer: Schedule = (ms, act) => {
  const timer = setTimeout(act, ms).unref()
  return () => clearTimeout(timer)
}
