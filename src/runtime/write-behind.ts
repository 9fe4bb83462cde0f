/** Keeps when things were last used until that is written, in batches instead of once a request. */
export interface WriteBehind<Key extends string | number, Use> {
  /** Notes a use, in place of the one before. */
  note(key: Key, use: Use): void
  /** Writes what was noted since the last time. What could not be written is noted again, unless it is out of date. */
  flush(): Promise<void>
}

/**
 * Makes a write-behind buffer, which keeps uses in memory until they are written together: of each key the latest, by the
 * order of the calls and not by the wall clock, which may be set back between two of them.
 *
 * @param write stores uses by key, in ascending order of the keys
 * @param capacity how many keys are remembered between two flushes; the uses of further ones are forgotten
 */
export function writeBehind<Key extends string | number, Use>(
  write: (uses: [key: Key, use: Use][]) => Promise<void>,
  capacity = 100_000,
): WriteBehind<Key, Use> {
  let noted = new Map<Key, Use>()

  const note = (key: Key, use: Use) => {
    if (noted.size < capacity || noted.has(key)) noted.set(key, use)
  }

  return {
    note,
    async flush() {
      if (noted.size === 0) return
      const taken = noted
      noted = new Map()
      try {
        await write([...taken].sort(([a], [b]) => (a < b ? -1 : 1)))
      } catch (error) {
        for (const [key, use] of taken) if (!noted.has(key)) note(key, use)
        throw error
      }
    },
  }
}
