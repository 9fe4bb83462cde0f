import { LRUCache } from 'lru-cache'
import type { Counters } from './counters.ts'

/** An address has guessed too often. */
export class TooManyGuesses extends Error {
  /** Milliseconds until it may try again. */
  readonly ttl: number

  constructor(ttl: number) {
    super('Too many failed credentials from this address.')
    this.name = 'TooManyGuesses'
    this.ttl = ttl
  }
}

const WINDOW_MS = 60_000
const PROVEN_MS = 600_000
const PROVEN_CAPACITY = 10_000

/**
 * Bounds how many wrong credentials an address can try in a minute.
 *
 * An address that has used up its failures is refused before anything is looked up, except for credentials
 * that were right within the last ten minutes: so one bad neighbour shuts out nobody who was in already.
 * Attempts under way count as failures until they turn out otherwise. Those beyond the bound wait for them,
 * so that a thousand guesses at once are no better than a thousand in a row.
 *
 * @param max failures in a minute
 * @param clock milliseconds since the epoch
 */
export function guessLimit(counters: Counters, max: number, clock: () => number) {
  const proven = new LRUCache<string, number>({ max: PROVEN_CAPACITY })
  const busy = new Map<string, Address>()

  const isProven = (digest: string) => {
    const at = proven.get(digest)
    return at !== undefined && clock() - at <= PROVEN_MS
  }

  /** Waits until one more attempt cannot take the failures over the bound, and reserves it. */
  const admit = async (address: string, state: Address) => {
    for (;;) {
      const { settled } = state
      const { current, ttl } = await counters.read(keyOf(address))
      // Another attempt ended while the counter was read: what was read is out of date.
      if (settled !== state.settled) continue
      if (current >= max) throw new TooManyGuesses(ttl)
      if (current + state.pending < max) {
        state.pending += 1
        return
      }
      await new Promise<void>(resolve => state.waiting.push(resolve))
    }
  }

  const judge = async (address: string, digest: string, lookUp: () => Promise<boolean>) => {
    if (await lookUp()) {
      proven.set(digest, clock())
    } else {
      proven.delete(digest)
      await counters.hit(keyOf(address), WINDOW_MS)
    }
  }

  return {
    /**
     * Tries a credential: `lookUp` says whether it is right.
     *
     * @param digest what the credential is remembered by when it is right; never a plain secret
     * @throws {TooManyGuesses} when the address has no attempt left; `lookUp` is not called then
     * @throws what `lookUp` throws, which counts neither way
     */
    async attempt(address: string, digest: string, lookUp: () => Promise<boolean>): Promise<void> {
      if (isProven(digest)) return judge(address, digest, lookUp)
      const state = busy.get(address) ?? { present: 0, pending: 0, settled: 0, waiting: [] }
      busy.set(address, state)
      state.present += 1
      try {
        await admit(address, state)
        try {
          await judge(address, digest, lookUp)
        } finally {
          state.pending -= 1
          state.settled += 1
          for (const resume of state.waiting.splice(0)) resume()
        }
      } finally {
        state.present -= 1
        if (state.present === 0) busy.delete(address)
      }
    },
  }
}

/** What goes on for one address at this moment. */
interface Address {
  /** Attempts that wait or are under way: the last one to leave clears the entry. */
  present: number
  /** Attempts under way. */
  pending: number
  /** Attempts that ended, to tell whether any did since a moment. */
  settled: number
  waiting: (() => void)[]
}

const keyOf = (address: string) => `failed-auth:${address}`
