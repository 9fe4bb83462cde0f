import anyAscii from 'any-ascii'
import { sha256 } from '../auth/secret.ts'
import { type Counters, LimitExceeded } from './counters.ts'
import { guessLimit } from './guess-limit.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** How many times as many logins an address has as one account has from there. */
const ACCOUNTS_PER_ADDRESS = 4

/** What an account is counted under: e-mail addresses that look alike are one, in whatever script and case. */
export const accountKey = (email: string): string => sha256(anyAscii(email).trim().toLowerCase())

/** A password somebody enters. */
export interface LoginAttempt {
  email: string
  /** Whom the request is counted for. */
  address: string
  /** Whether the password is right. */
  verify(): Promise<boolean>
  /** Whether the account's user logged in from the address before. */
  isKnownAddress(): Promise<boolean>
}

/** Whether the password was right, and what is left of the limit that is nearest. */
export interface LoginResult {
  isRight: boolean
  max: number
  remaining: number
}

/**
 * Bounds logins. All of them count a minute long for the account from the address, and for the address. Wrong
 * ones alone count an hour long for the account, wherever they come from; beyond that bound, the addresses from
 * which its user logged in before can still try, so that nobody can lock out somebody else.
 *
 * @param limits LOGIN_RATE_LIMIT and LOGIN_FAILURE_LIMIT
 * @param clock milliseconds since the epoch
 */
export function loginLimits(
  counters: Counters,
  { loginRateLimit, loginFailureLimit }: { loginRateLimit: number; loginFailureLimit: number },
  clock: () => number,
) {
  const failures = guessLimit(
    counters,
    { name: 'failed-login', max: loginFailureLimit, windowMs: HOUR_MS },
    clock,
  )

  const count = async (key: string, max: number) => {
    const { current, ttl } = await counters.hit(key, MINUTE_MS)
    if (current > max) throw new LimitExceeded(max, ttl)
    return { max, remaining: max - current }
  }

  /**
   * Tries a password.
   *
   * @throws {LimitExceeded} when a limit is used up; `verify` is not called then
   * @throws what `verify` throws, which counts as an attempt and not as a wrong password
   */
  return async ({ email, address, verify, isKnownAddress }: LoginAttempt): Promise<LoginResult> => {
    const account = accountKey(email)
    const ofAccount = await count(`login:${account}:${address}`, loginRateLimit)
    const ofAddress = await count(`login:${address}`, loginRateLimit * ACCOUNTS_PER_ADDRESS)
    const nearest = ofAddress.remaining < ofAccount.remaining ? ofAddress : ofAccount
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
    return { isRight, ...nearest }
  }
}
