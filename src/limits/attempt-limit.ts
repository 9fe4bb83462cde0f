import anyAscii from 'any-ascii'
import { canonicalEmail } from '../auth/email.ts'
import { sha256 } from '../auth/secret.ts'
import { HOUR_MS, MINUTE_MS } from '../auth/time.ts'
import { type Count, type Counters, LimitExceeded } from './counters.ts'
import { guessLimit } from './guess-limit.ts'

/** How many times as many attempts an address has as one account has from there. */
export const ACCOUNTS_PER_ADDRESS = 4

/** What an account is counted under: e-mail addresses that look alike are one, in whatever script, case and form. */
export const accountKey = (email: string): string =>
  sha256(anyAscii(canonicalEmail(email)).trim().toLowerCase())

/** Who tries something: for which account, and whom the request is counted for. */
export interface Attempt {
  account: string
  address: string
}

/**
 * Bounds attempts, right ones included: a minute long for the account from the address, and four times as many for
 * the address. Returns a function that counts one, and says what is left of the limit that is nearest.
 *
 * @param limit.name what they are counted as
 */
export function attemptLimit(counters: Counters, { name, max }: { name: string; max: number }) {
  const count = async (key: string, most: number) => {
    const hit = await counters.hit(key, MINUTE_MS)
    return within(hit, most)
  }

  /** @throws {LimitExceeded} when a limit is used up */
  return async ({ account, address }: Attempt): Promise<{ max: number; remaining: number }> => {
    const ofAccount = await count(`${name}:${account}:${address}`, max)
    const ofAddress = await count(`${name}:${address}`, max * ACCOUNTS_PER_ADDRESS)
    return ofAddress.remaining < ofAccount.remaining ? ofAddress : ofAccount
  }
}

/**
 * Bounds what happens in an hour.
 *
 * @param limit.name what it is counted as
 */
export function hourlyLimit(counters: Counters, { name, max }: { name: string; max: number }) {
  return {
    /** Counts once. @throws {LimitExceeded} when the limit is used up */
    async count(key: string): Promise<void> {
      within(await counters.hit(`${name}:${key}`, HOUR_MS), max)
    },
    /** Whether the limit is used up, without counting. */
    async isUsedUp(key: string): Promise<boolean> {
      const { current } = await counters.read(`${name}:${key}`)
      return current >= max
    },
  }
}

function within({ current, ttl }: Count, max: number) {
  if (current > max) throw new LimitExceeded(max, ttl)
  return { max, remaining: max - current }
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
 * Bounds wrong secrets of an account, an hour long, wherever they come from. Beyond that bound the addresses from
 * which its user logged in before can still try, so that nobody can lock out somebody else. Returns a function that
 * tries one.
 *
 * @param limit.name what they are counted as
 * @param clock milliseconds since the epoch
 */
export function failureLimit(
  counters: Counters,
  { name, max }: { name: string; max: number },
  clock: () => number,
) {
  const failures = guessLimit(counters, { name, max, windowMs: HOUR_MS }, clock)

  /**
   * @returns whether the secret was right
   * @throws {LimitExceeded} when the limit is used up; `verify` is not called then
   * @throws what `verify` throws, which does not count as a wrong secret
   */
  return async ({ account, verify, isKnownAddress }: Entry): Promise<boolean> => {
    let isRight = false
    const judge = async () => {
      isRight = await verify()
      return isRight
    }
    try {
      await failures.attempt(account, null, judge)
    } catch (error) {
      if (!(error instanceof LimitExceeded) || !(await isKnownAddress())) throw error
      await judge()
    }
    return isRight
  }
}
