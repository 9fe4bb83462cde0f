/** Notes of when tokens were last used, written in batches instead of once a request. */
export interface LastUsedNotes {
  /** Notes a use; `at` in milliseconds since the epoch. */
  note(tokenId: number, at: number): void
  /** Writes what was noted since the last time. What could not be written is noted again. */
  flush(): Promise<void>
}

/**
 * @param write stores pairs of token id and milliseconds, in ascending order of id
 * @param capacity how many tokens are remembered between two flushes; the uses of further ones are forgotten
 */
export function lastUsedNotes(
  write: (uses: [id: number, at: number][]) => Promise<void>,
  capacity = 100_000,
): LastUsedNotes {
  let notes = new Map<number, number>()

  const note = (tokenId: number, at: number) => {
    const known = notes.get(tokenId)
    if (known === undefined ? notes.size < capacity : known < at) notes.set(tokenId, at)
  }

  return {
    note,
    async flush() {
      if (notes.size === 0) return
      const taken = notes
      notes = new Map()
      try {
        await write([...taken].sort(([a], [b]) => a - b))
      } catch (error) {
        for (const [tokenId, at] of taken) note(tokenId, at)
        throw error
      }
    },
  }
}
