import { hash } from 'node:crypto'
import anyAscii from 'any-ascii'
import { LRUCache } from 'lru-cache'
import { emailKey } from '#src/auth/email.ts'
import { sha256 } from '#src/auth/secret.ts'
import { HOUR_MS, MINUTE_MS } from '#src/auth/time.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { AttemptCounts, Bound, TakenAttempt } from './attempt-counts.ts'
import type { ClientAddress } from './client-address.ts'
import { LimitExceeded } from './counters.ts'

/** How many times as many attempts an address has as one account has from there. */
export const ACCOUNTS_PER_ADDRESS = 4

/**
 * What an account is counted under: e-mail addresses that look alike are one, in whatever script, and all forms of one
 * address are.
 */
export const accountKey = (email: string): string => sha256(anyAscii(emailKey(email)).trim().toLowerCase())

/**
 * A key of stored counts: what is counted in clear, so that somebody who looks at the table can tell, and for whom as a
 * SHA-256, so that it is of one length and contains no e-mail address.
 */
const countKey = (kind: string, ...subject: string[]): string =>
  `${kind}:${hash('sha256', JSON.stringify(subject), 'base64url')}`

/** The bounds of the networks that an address is in, each with its share: a stage each, from the narrowest. */
const networkStages = (kind: string, { networks }: Pick<ClientAddress, 'networks'>, max: number): Bound[][] =>
  networks.map(({ key, share }) => [{ key: countKey(kind, key), max: max * share }])

/** How many refusals of a limit are remembered, and for how long at most, in milliseconds. */
const REFUSALS = 10_000
const REFUSAL_MS = MINUTE_MS

/**
 * Counts attempts that are never given back, and remembers in this process which keys were refused: who is refused goes
 * on to be without a statement. It is asked again after a minute, so that rows that were deleted by hand soon count.
 */
function countingOf(counts: AttemptCounts, windowMs: number, monotonic: () => number) {
  const refusals = lazy(() => new LRUCache<string, { endsAt: number; forgetAt: number }>({ max: REFUSALS }))

  /** @throws {LimitExceeded} when a bound is used up */
  return async (stages: readonly (readonly Bound[])[]): Promise<TakenAttempt[]> => {
    for (const { key, max } of stages.flat()) {
      const refusal = refusals().get(key)
      const now = monotonic()
      if (refusal !== undefined && now < refusal.forgetAt) throw new LimitExceeded(max, refusal.endsAt - now)
    }
    const counted = await counts.take(stages, windowMs)
    if ('taken' in counted) return counted.taken
    const { key, max, ttl } = counted.refusal
    const now = monotonic()
    refusals().set(key, { endsAt: now + ttl, forgetAt: now + Math.min(ttl, REFUSAL_MS) })
    throw new LimitExceeded(max, ttl)
  }
}

/** Who tries something: for which account, and whom the request is counted for. */
export interface Attempt {
  account: string
  address: Pick<ClientAddress, 'key' | 'networks'>
}

/**
 * Bounds attempts, right ones included: a minute long for the account from the address, and four times as many for
 * each of the address's networks, by its share. An address that has used up its own adds no row for an account. Returns
 * a function that counts one, and says what is left of the limit that is nearest.
 *
 * @param limit.name what they are counted as
 * @param monotonic milliseconds since a moment that does not change
 */
export function attemptLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => number,
) {
  const count = countingOf(counts, MINUTE_MS, monotonic)

  /** @throws {LimitExceeded} when a limit is used up */
  return async ({ account, address }: Attempt): Promise<{ max: number; remaining: number }> => {
    const taken = await count([
      ...networkStages(`${name}:address`, address, max * ACCOUNTS_PER_ADDRESS),
      [{ key: countKey(`${name}:account`, account, address.key), max }],
    ])
    const left = taken.map(({ max, attempts }) => ({ max, remaining: max - attempts }))
    return left.reduce((nearest, other) =>
      other.remaining < nearest.remaining ||
      (other.remaining === nearest.remaining && other.max < nearest.max)
        ? other
        : nearest,
    )
  }
}

/**
 * Bounds what happens in an hour to one that is counted by its key.
 *
 * @param limit.name what it is counted as
 * @param monotonic milliseconds since a moment that does not change
 */
export function hourlyLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => number,
) {
  const count = countingOf(counts, HOUR_MS, monotonic)
  const boundOf = (key: string) => ({ key: countKey(name, key), max })
  return {
    /** Counts once. @throws {LimitExceeded} when the limit is used up */
    async count(key: string): Promise<void> {
      await count([[boundOf(key)]])
    },
    /** Whether the limit is used up, without counting. */
    isUsedUp: (key: string): Promise<boolean> => counts.isUsedUp(boundOf(key), HOUR_MS),
  }
}

/**
 * Counts what happens in an hour to one that is counted by its key. Returns a function that counts once, and says whether
 * that was the one that makes the number full: so it is once an hour, over all instances.
 *
 * @param threshold.name what it is counted as
 */
export function hourlyThreshold(counts: AttemptCounts, { name, count }: { name: string; count: number }) {
  return async (key: string): Promise<boolean> => {
    const counted = await counts.take([[{ key: countKey(name, key), max: count }]], HOUR_MS)
    return 'taken' in counted && counted.taken.some(({ attempts }) => attempts === count)
  }
}

/**
 * Bounds what happens in an hour from one address: for each of its networks, by its share. Returns a function that
 * counts once, and throws {@link LimitExceeded} when the limit is used up.
 *
 * @param limit.name what it is counted as
 * @param monotonic milliseconds since a moment that does not change
 */
export function hourlyAddressLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => number,
) {
  const count = countingOf(counts, HOUR_MS, monotonic)
  return async (address: Attempt['address']): Promise<void> => {
    await count(networkStages(name, address, max))
  }
}

/** A secret that somebody enters for an account. */
export interface Entry {
  account: string
  /** Whether the secret is right. */
  verify(): Promise<boolean>
  /** Whether the account's user logged in from the address before. */
  isKnownAddress(): Promise<boolean>
}

/**
 * Bounds wrong secrets of an account, an hour long, wherever they come from. Each is counted before it is verified and
 * taken back once it was right, so that of any number at once, over any number of instances, no more than the bound
 * are verified. Beyond that bound the addresses from which its user logged in before can still try, so that nobody can
 * lock out somebody else. Returns a function that tries one.
 *
 * A secret that is being verified counts as wrong meanwhile. So right ones are refused beside as many as the bound that
 * are under way, as they are beside as many wrong ones.
 *
 * @param limit.name what they are counted as
 * @param onNotGivenBack hears why an attempt that was not wrong goes on to be counted until its window ends
 */
export function failureLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  onNotGivenBack: (error: unknown) => void,
) {
  /**
   * @returns whether the secret was right
   * @throws {LimitExceeded} when the limit is used up; `verify` is not called then
   * @throws what `verify` throws, which does not count as a wrong secret
   */
  return async ({ account, verify, isKnownAddress }: Entry): Promise<boolean> => {
    // Refusals are not remembered: one ends as soon as an attempt is given back, whichever instance that is on.
    const counted = await counts.take([[{ key: countKey(name, account), max }]], HOUR_MS)
    if ('refusal' in counted) {
      if (!(await isKnownAddress())) throw new LimitExceeded(max, counted.refusal.ttl)
      return verify()
    }
    const giveBack = async () => {
      for (const attempt of counted.taken) await counts.giveBack(attempt).catch(onNotGivenBack)
    }
    let isRight: boolean
    try {
      isRight = await verify()
    } catch (error) {
      await giveBack()
      throw error
    }
    if (isRight) await giveBack()
    return isRight
  }
}
