/** A write-behind buffer of last uses, written in batches instead of once per request. */
export interface WriteBehind<Key extends string | number, Use> {
  /** Buffers a use, replacing the previous one of the key. */
  note(key: Key, use: Use): void
  /** Writes the buffered uses. Uses that could not be written are buffered again, unless a newer one exists. */
  flush(): Promise<void>
}

/**
 * Makes a {@link WriteBehind}. It keeps the latest use of each key by the order of the calls, not by the wall clock,
 * which may be set back between two calls.
 *
 * @param write stores uses, in ascending order of keys
 * @param capacity how many keys are buffered between two flushes; uses of further keys are dropped
 */
export function writeBehind<Key extends string | number, Use>(
  write: (uses: [key: Key, use: Use][]) => Promise<void>,
  capacity = 100_000,
): WriteBehind<Key, Use> {
  let buffered = new Map<Key, Use>()

  const note = (key: Key, use: Use) => {
    if (buffered.size < capacity || buffered.has(key)) buffered.set(key, use)
  }

  return {
    note,
    async flush() {
      if (buffered.size === 0) return
      const taken = buffered
      buffered = new Map()
      try {
        await write([...taken].sort(([a], [b]) => (a < b ? -1 : 1)))
      } catch (error) {
        for (const [key, use] of taken) if (!buffered.has(key)) note(key, use)
        throw error
      }
    },
  }
}
