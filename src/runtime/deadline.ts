import type { Millis } from './units.ts'

/**
 * Starts a deadline: calls `onExpired` after `ms`, unless the returned function is called first.
 *
 * After a stall of the process (a blocked event loop, SIGSTOP, a suspended machine) timers fire before the data that
 * arrived meanwhile is read. Therefore `onExpired` is only called after another turn of the event loop, in which
 * sockets are read; and if `progress` changed in that turn, the deadline restarts, once.
 *
 * @param ms Infinity for no deadline
 * @param progress a number that changes when data arrives, such as a socket's `bytesRead`
 */
export function startDeadline(
  ms: Millis,
  onExpired: () => void,
  progress: () => number = () => 0,
): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => {}
  let immediate: NodeJS.Immediate | undefined
  let hasRestarted = false
  const expire = () => {
    const before = progress()
    immediate = setImmediate(() => {
      // Reading may resolve promises whose callbacks run before the next immediate.
      immediate = setImmediate(() => {
        if (hasRestarted || progress() === before) return onExpired()
        hasRestarted = true
        timer = setTimeout(expire, ms)
      })
    })
  }
  let timer = setTimeout(expire, ms)
  return () => {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}
