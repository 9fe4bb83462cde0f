import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { emailKey } from '#src/auth/email.ts'
import { sha256 } from '#src/auth/secret.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '#src/auth/time.ts'
import { toAscii } from '#src/auth/to-ascii.ts'
import { lazy } from '#src/runtime/lazy.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { AttemptCounts, AttemptKeyLimit, TakenAttempt } from './attempt-counts.ts'
import type { ClientAddress } from './client-address.ts'
import { LimitExceeded } from './counters.ts'

/** The factor of an address's attempts over those of one account from the address. */
export const ACCOUNTS_PER_ADDRESS = 4

/**
 * Returns the key that an account is counted under: equal for all forms of an e-mail address, and for addresses that
 * look alike in any script.
 */
export const accountKey = (email: string): string => sha256(toAscii(emailKey(email)).trim().toLowerCase())

/**
 * Makes a key of stored counts: the kind in clear text, for operators who read the table, and the subject as a SHA-256,
 * so that keys have a fixed length and contain no e-mail address.
 */
const countKey = (kind: string, ...subject: string[]): string =>
  `${kind}:${hash('sha256', JSON.stringify(subject), 'base64url')}`

/** Returns the limits of an address's networks by their shares, a stage each, the narrowest first. */
const networkStages = (
  kind: string,
  { networks }: Pick<ClientAddress, 'networks'>,
  max: number,
): AttemptKeyLimit[][] => networks.map(({ key, share }) => [{ key: countKey(kind, key), max: max * share }])

/** How many refusals of a limit are cached, and for how long. */
const MAX_CACHED_REFUSALS = 10_000
const REFUSAL_CACHE_MS: Millis = MINUTE_MS

/**
 * Counts attempts that are never given back, and caches refused keys in this process, so that further attempts are
 * refused without a statement. The cache expires after a minute, so that rows deleted by an operator take effect.
 */
function attemptCounter(counts: AttemptCounts, windowMs: Millis, monotonic: () => MonotonicMillis) {
  const refusals = lazy(
    () =>
      new LRUCache<string, { endsAt: MonotonicMillis; forgetAt: MonotonicMillis }>({
        max: MAX_CACHED_REFUSALS,
      }),
  )

  /** @throws {LimitExceeded} when a limit is exhausted */
  return async (stages: readonly (readonly AttemptKeyLimit[])[]): Promise<TakenAttempt[]> => {
    for (const { key, max } of stages.flat()) {
      const refusal = refusals().get(key)
      const now = monotonic()
      if (refusal !== undefined && now < refusal.forgetAt) throw new LimitExceeded(max, refusal.endsAt - now)
    }
    const counted = await counts.take(stages, windowMs)
    if ('taken' in counted) return counted.taken
    const { key, max, ttl } = counted.refusal
    const now = monotonic()
    refusals().set(key, { endsAt: now + ttl, forgetAt: now + Math.min(ttl, REFUSAL_CACHE_MS) })
    throw new LimitExceeded(max, ttl)
  }
}

/** An attempt: its account and client address. */
export interface Attempt {
  account: string
  address: Pick<ClientAddress, 'key' | 'networks'>
}

/**
 * Limits attempts, successful ones included, per minute: for an account from an address, and four times as many for
 * each of the address's networks, by its share. An exhausted address adds no row for an account. Returns a function
 * that counts an attempt and returns the tightest remaining limit.
 *
 * @param limit.name the kind of attempt
 */
export function attemptLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => MonotonicMillis,
) {
  const count = attemptCounter(counts, MINUTE_MS, monotonic)

  /** @throws {LimitExceeded} when a limit is exhausted */
  return async ({ account, address }: Attempt): Promise<{ max: number; remaining: number }> => {
    const taken = await count([
      ...networkStages(`${name}:address`, address, max * ACCOUNTS_PER_ADDRESS),
      [{ key: countKey(`${name}:account`, account, address.key), max }],
    ])
    const limits = taken.map(({ max, attempts }) => ({ max, remaining: max - attempts }))
    return limits.reduce((nearest, other) =>
      other.remaining < nearest.remaining ||
      (other.remaining === nearest.remaining && other.max < nearest.max)
        ? other
        : nearest,
    )
  }
}

/**
 * Limits events per hour and key.
 *
 * @param limit.name the kind of event
 */
export function hourlyLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => MonotonicMillis,
) {
  const count = attemptCounter(counts, HOUR_MS, monotonic)
  const limitOf = (key: string) => ({ key: countKey(name, key), max })
  return {
    /** Counts once. @throws {LimitExceeded} when the limit is exhausted */
    async count(key: string): Promise<void> {
      await count([[limitOf(key)]])
    },
    /** Returns whether the limit is exhausted, without counting. */
    isExhausted: (key: string): Promise<boolean> => counts.isExhausted(limitOf(key), HOUR_MS),
  }
}

/**
 * Limits events per day and key. Returns a function that counts once, and returns how to take that back.
 *
 * @param limit.name the kind of event
 */
export function dailyLimit(counts: AttemptCounts, { name, max }: { name: string; max: number }) {
  /** @throws {LimitExceeded} when the limit is exhausted */
  return async (key: string): Promise<() => Promise<void>> => {
    // Refusals are not cached: one ends as soon as an attempt is given back, on any instance.
    const counted = await counts.take([[{ key: countKey(name, key), max }]], DAY_MS)
    if ('refusal' in counted) throw new LimitExceeded(max, counted.refusal.ttl)
    return async () => {
      for (const attempt of counted.taken) await counts.giveBack(attempt)
    }
  }
}

/**
 * Counts events per hour and key. Returns a function that counts once, and returns whether that reached the threshold:
 * true once an hour over all instances.
 *
 * @param threshold.name the kind of event
 */
export function hourlyThreshold(counts: AttemptCounts, { name, count }: { name: string; count: number }) {
  return async (key: string): Promise<boolean> => {
    const counted = await counts.take([[{ key: countKey(name, key), max: count }]], HOUR_MS)
    return 'taken' in counted && counted.taken.some(({ attempts }) => attempts === count)
  }
}

/**
 * Limits events per hour and client address: for each of its networks, by its share. Returns a function that counts
 * once, and throws {@link LimitExceeded} when the limit is exhausted.
 *
 * @param limit.name the kind of event
 */
export function hourlyAddressLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  monotonic: () => MonotonicMillis,
) {
  const count = attemptCounter(counts, HOUR_MS, monotonic)
  return async (address: Attempt['address']): Promise<void> => {
    await count(networkStages(name, address, max))
  }
}

/** A secret entered for an account. */
export interface SecretAttempt {
  account: string
  /** Returns whether the secret is correct. */
  verify(): Promise<boolean>
  /** Returns whether the account's user logged in from the address before. */
  isKnownAddress(): Promise<boolean>
}

/**
 * Limits wrong secrets per account and hour, from any address. Each attempt is counted before it is verified and given
 * back if the secret was correct, so that of any number of concurrent attempts, over all instances, at most the limit
 * is verified. Beyond the limit, addresses from which the user logged in before can still try, so that an attacker
 * cannot lock the user out. Returns a function that tries one.
 *
 * An attempt counts as wrong while it is being verified. So correct ones are refused while as many as the limit are
 * running.
 *
 * @param limit.name the kind of attempt
 * @param onGiveBackFailed receives the error when a correct attempt could not be given back, and so counts until its
 *   window ends
 */
export function failureLimit(
  counts: AttemptCounts,
  { name, max }: { name: string; max: number },
  onGiveBackFailed: (error: unknown) => void,
) {
  /**
   * @returns whether the secret was correct
   * @throws {LimitExceeded} when the limit is exhausted; `verify` is not called then
   * @throws what `verify` throws, which does not count as a wrong secret
   */
  return async ({ account, verify, isKnownAddress }: SecretAttempt): Promise<boolean> => {
    // Refusals are not cached: one ends as soon as an attempt is given back, on any instance.
    const counted = await counts.take([[{ key: countKey(name, account), max }]], HOUR_MS)
    if ('refusal' in counted) {
      if (!(await isKnownAddress())) throw new LimitExceeded(max, counted.refusal.ttl)
      return verify()
    }
    const giveBack = async () => {
      for (const attempt of counted.taken) await counts.giveBack(attempt).catch(onGiveBackFailed)
    }
    let isCorrect: boolean
    try {
      isCorrect = await verify()
    } catch (error) {
      await giveBack()
      throw error
    }
    if (isCorrect) await giveBack()
    return isCorrect
  }
}
