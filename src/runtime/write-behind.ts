import { setImmediate as nextTurn } from 'node:timers/promises'

/** A write-behind buffer of last uses, written in batches instead of once per request. */
export interface WriteBehind<Key extends string | number, Use> {
  /** Buffers a use, replacing the previous one of the key. */
  note(key: Key, use: Use): void
  /**
   * Writes the uses that are buffered now, after a flush in progress. Uses that could not be written are buffered again,
   * unless a newer one exists.
   */
  flush(): Promise<void>
}

interface WriteBehindOptions {
  /** How many keys are buffered between two flushes; uses of further keys are dropped. */
  capacity?: number
  /** How many uses are written at once. Encoding thousands would block the event loop for milliseconds. */
  batchSize?: number
}

/**
 * Makes a {@link WriteBehind}. It keeps the latest use of each key by the order of the calls, not by the wall clock,
 * which may be set back between two calls.
 *
 * Batches follow the order of the first uses, not of all keys: neighbouring rows are then updated by different
 * statements, of which the later ones can reuse the space of the versions that the earlier ones replaced.
 *
 * @param write stores uses, in ascending order of keys
 */
export function writeBehind<Key extends string | number, Use>(
  write: (uses: [key: Key, use: Use][]) => Promise<void>,
  { capacity = 100_000, batchSize = 500 }: WriteBehindOptions = {},
): WriteBehind<Key, Use> {
  let buffered = new Map<Key, Use>()
  let current: Promise<void> | null = null
  let next: Promise<void> | null = null

  const note = (key: Key, use: Use) => {
    if (buffered.size < capacity || buffered.has(key)) buffered.set(key, use)
  }

  const writeAll = async () => {
    const unwritten = buffered
    buffered = new Map()
    try {
      while (unwritten.size > 0) {
        const batch = takeFirst(unwritten, batchSize)
        await write(batch.sort(([a], [b]) => (a < b ? -1 : 1)))
        for (const [key] of batch) unwritten.delete(key)
        if (unwritten.size > 0) await nextTurn()
      }
    } catch (error) {
      const newer = buffered
      buffered = unwritten
      for (const [key, use] of newer) note(key, use)
      throw error
    }
  }

  const flush = (): Promise<void> => {
    if (current !== null) {
      next ??= current
        .catch(() => {})
        .then(() => {
          next = null
          return flush()
        })
      return next
    }
    if (buffered.size === 0) return Promise.resolve()
    current = writeAll().finally(() => {
      current = null
    })
    return current
  }

  return { note, flush }
}

/** Returns the first entries of a map, which keeps them. */
function takeFirst<Key, Value>(map: ReadonlyMap<Key, Value>, count: number): [Key, Value][] {
  const first: [Key, Value][] = []
  for (const entry of map) {
    first.push(entry)
    if (first.length === count) break
  }
  return first
}
