/**
 * Calls `act` once `ms` milliseconds have passed, unless the returned function is called before.
 *
 * After a stall of the process (a blocked event loop, SIGSTOP, a suspended machine) timers fire before what arrived
 * meanwhile is read. Therefore `act` is only called after another turn of the event loop, in which sockets are read;
 * and if `progress` has changed in that turn, the deadline starts over, once.
 *
 * @param ms milliseconds; Infinity for no deadline
 * @param progress a number that changes with whatever arrives, such as a socket's `bytesRead`
 */
export function deadline(ms: number, act: () => void, progress: () => number = () => 0): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => {}
  let immediate: NodeJS.Immediate | undefined
  let hasStartedOver = false
  const due = () => {
    const before = progress()
    immediate = setImmediate(() => {
      // Reading may resolve promises whose callbacks run before the next immediate.
      immediate = setImmediate(() => {
        if (hasStartedOver || progress() === before) return act()
        hasStartedOver = true
        timer = setTimeout(due, ms)
      })
    })
  }
  let timer = setTimeout(due, ms)
  return () => {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}
