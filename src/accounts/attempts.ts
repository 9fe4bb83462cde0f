import type { Kysely } from 'kysely'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { hasLoggedInFrom } from '#src/database/login-addresses.ts'
import type { Schema } from '#src/database/schema.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import {
  ACCOUNTS_PER_ADDRESS,
  attemptLimit,
  failureLimit,
  hourlyAddressLimit,
} from '#src/limits/attempt-limit.ts'
import type { Network } from '#src/limits/client-address.ts'
import { type Counters, LimitExceeded } from '#src/limits/counters.ts'
import { guessLimit } from '#src/limits/guess-limit.ts'
import { tooManyRequests } from '#src/responses/errors.ts'
import type { Log } from '#src/runtime/log.ts'
import type { Caller } from './caller.ts'

/** Laravel's limit for links that verify an e-mail address and for asking for one. */
const VERIFICATIONS = 6

/** How often a minute each of these may be tried for an account from an address. */
const MAX = {
  login: ({ loginRateLimit }: Settings) => loginRateLimit,
  confirm_password: ({ confirmPasswordRateLimit }: Settings) => confirmPasswordRateLimit,
  two_factor: ({ twoFactorRateLimit }: Settings) => twoFactorRateLimit,
  register: ({ registerRateLimit }: Settings) => registerRateLimit,
  forgot_password: ({ forgotPasswordRateLimit }: Settings) => forgotPasswordRateLimit,
  reset_password: ({ forgotPasswordRateLimit }: Settings) => forgotPasswordRateLimit,
  verification: () => VERIFICATIONS,
} as const

type Settings = Pick<
  Config,
  | 'loginRateLimit'
  | 'loginFailureLimit'
  | 'confirmPasswordRateLimit'
  | 'twoFactorRateLimit'
  | 'registerRateLimit'
  | 'forgotPasswordRateLimit'
  | 'rateLimitFailedAuth'
>

/** What counts as an attempt. */
export type AttemptKind = keyof typeof MAX

/** What of these opens something, and what it is counted as when it is wrong. */
const SECRETS = {
  login: 'failed-login',
  // Nobody can shut out who is logged in by guessing from outside.
  confirm_password: 'failed-confirmation',
  two_factor: 'failed-code',
} as const satisfies Partial<Record<AttemptKind, string>>

type SecretKind = keyof typeof SECRETS

/** A password or a code that somebody enters. */
export interface EnteredSecret {
  /** What its account is counted under. */
  account: string
  /** Whose account it is; null for nobody's. */
  userId: number | null
  /** Whether it is right. */
  verify(): Promise<boolean>
}

/** Where an attempt comes from. */
type From = Pick<Caller, 'clientAddress'>

/**
 * Bounds how often people try what opens something or reaches somebody. Wrong tokens are counted in memory or in Redis,
 * since nobody guesses them; all else in the database.
 */
export interface Attempts {
  /**
   * Counts an attempt for an account, and tells the caller what is left.
   *
   * @throws {HttpError} 429 when the limit is used up
   */
  count(caller: From & Pick<Caller, 'tellAttempts'>, kind: AttemptKind, account: string): Promise<void>
  /**
   * Tries a password or a code, unless the account has seen too many wrong ones within the hour. Those of a login, of
   * who is logged in already, and of second factors are counted apart.
   *
   * @returns whether it was right
   * @throws {HttpError} 429 when the limit is used up
   */
  judge(caller: From, kind: SecretKind, secret: EnteredSecret): Promise<boolean>
  /**
   * Looks a token up, unless the address has shown too many wrong ones within the minute.
   *
   * @param digest what it is remembered by when it is right
   * @returns what `lookUp` found
   * @throws {HttpError} 429 when the limit is used up
   */
  guess<T extends { isRight: boolean }>(caller: From, digest: string, lookUp: () => Promise<T>): Promise<T>
  /**
   * Counts a new account.
   *
   * @throws {HttpError} 429 when its address has made too many within the hour
   */
  countRegistration(caller: From): Promise<void>
}

/** What {@link createAttempts} works with. */
export interface AttemptsDeps {
  config: Settings
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Milliseconds since a moment that does not change. */
  monotonic: () => number
  kysely: Kysely<Schema>
  attemptCounts: AttemptCounts
  /** Counts wrong tokens. */
  guessCounters: Counters
  /** Hears of each attempt that is refused. */
  onLimited: (kind: AttemptKind | 'failed_auth') => void
  log: Pick<Log, 'warn'>
}

/** Makes the {@link Attempts} of a server. */
export function createAttempts({
  config,
  clock,
  monotonic,
  kysely,
  attemptCounts,
  guessCounters,
  onLimited,
  log,
}: AttemptsDeps): Attempts {
  const limits = attemptLimits(config, attemptCounts, monotonic)
  const failures = failureLimits(config, attemptCounts, error =>
    log.warn({ err: error }, 'an attempt that was not wrong could not be given back, and stays counted'),
  )
  const countRegistration = hourlyAddressLimit(
    attemptCounts,
    { name: 'registered', max: config.registerRateLimit * ACCOUNTS_PER_ADDRESS },
    monotonic,
  )
  const guess = guessing(guessCounters, config.rateLimitFailedAuth, monotonic)

  const within = async <T>(kind: AttemptKind | 'failed_auth', work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof LimitExceeded)) throw error
      onLimited(kind)
      throw tooManyRequests(error, clock())
    }
  }

  return {
    async count(caller, kind, account) {
      const attempt = { account, address: caller.clientAddress }
      caller.tellAttempts(await within(kind, () => limits[kind](attempt)))
    },
    judge: ({ clientAddress }, kind, { account, userId, verify }) =>
      within(kind, () =>
        failures[kind]({
          account,
          verify,
          // Whoever guesses codes has the password already: to shut out such a one is right.
          isKnownAddress: async () =>
            kind !== 'two_factor' &&
            userId !== null &&
            (await hasLoggedInFrom(kysely, userId, clientAddress.key)),
        }),
      ),
    async guess<T extends { isRight: boolean }>(
      { clientAddress: { networks, isLocal } }: From,
      digest: string,
      lookUp: () => Promise<T>,
    ): Promise<T> {
      if (isLocal) return lookUp()
      const found: T[] = []
      const lookUpOnce = async () => {
        const one = await lookUp()
        found.push(one)
        return one.isRight
      }
      await within('failed_auth', () => guess(networks, digest, lookUpOnce))
      return found[0] as T
    },
    countRegistration: ({ clientAddress }) => within('register', () => countRegistration(clientAddress)),
  }
}

/** The limits of a minute, right attempts included. */
const attemptLimits = (config: Settings, counts: AttemptCounts, monotonic: () => number) =>
  Object.fromEntries(
    Object.entries(MAX).map(([kind, maxOf]) => [
      kind,
      attemptLimit(counts, { name: kind, max: maxOf(config) }, monotonic),
    ]),
  ) as Record<AttemptKind, ReturnType<typeof attemptLimit>>

/** The limits of an hour for wrong secrets of an account. */
function failureLimits(
  config: Settings,
  counts: AttemptCounts,
  onNotGivenBack: (error: unknown) => void,
): Record<SecretKind, ReturnType<typeof failureLimit>> {
  const limitOf = (kind: SecretKind, max: number) =>
    failureLimit(counts, { name: SECRETS[kind], max }, onNotGivenBack)
  return {
    login: limitOf('login', config.loginFailureLimit),
    confirm_password: limitOf('confirm_password', config.loginFailureLimit),
    two_factor: limitOf('two_factor', config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS),
  }
}

/**
 * Makes a function that tries a token within the bound of each network that its address is in, the narrowest first.
 *
 * @param perCustomer how many wrong tokens one customer may show in a minute
 */
function guessing(counters: Counters, perCustomer: number, monotonic: () => number) {
  const limits = new Map<number, ReturnType<typeof guessLimit>>()
  const limitOf = (share: number) => {
    const limit =
      limits.get(share) ?? guessLimit(counters, { max: perCustomer * share, windowMs: MINUTE_MS }, monotonic)
    limits.set(share, limit)
    return limit
  }
  const guess = async (
    [network, ...wider]: readonly Network[],
    digest: string,
    lookUp: () => Promise<boolean>,
  ): Promise<boolean> => {
    if (network === undefined) return lookUp()
    let isRight = false
    await limitOf(network.share).attempt(network.key, digest, async () => {
      isRight = await guess(wider, digest, lookUp)
      return isRight
    })
    return isRight
  }
  return guess
}
