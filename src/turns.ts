/**
 * Makes a function that runs what is done under the same key one after the other, in the order of the calls. What
 * would wait for a lock of the database's waits here instead, and keeps no connection busy.
 */
export function takingTurns() {
  const last = new Map<number, Promise<unknown>>()
  return <T>(key: number, work: () => Promise<T>): Promise<T> => {
    const turn = (last.get(key) ?? Promise.resolve()).then(work, work)
    const over = turn
      .catch(() => {})
      .finally(() => {
        if (last.get(key) === over) last.delete(key)
      })
    last.set(key, over)
    return turn
  }
}
