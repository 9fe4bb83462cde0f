import type { Kysely } from 'kysely'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { hasLoggedInFrom } from '#src/database/login-addresses.ts'
import type { Schema } from '#src/database/schema.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import {
  ACCOUNTS_PER_ADDRESS,
  attemptLimit,
  dailyLimit,
  failureLimit,
  hourlyAddressLimit,
} from '#src/limits/attempt-limit.ts'
import type { Network } from '#src/limits/client-address.ts'
import { type Counters, LimitExceeded } from '#src/limits/counters.ts'
import { wrongCredentialLimit } from '#src/limits/wrong-credential-limit.ts'
import { tooManyRequests } from '#src/responses/errors.ts'
import type { Log } from '#src/runtime/log.ts'
import type { EpochMillis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Caller } from './caller.ts'

/** Per minute: Laravel's throttle for opening and requesting verification links. */
const VERIFICATION_RATE_LIMIT = 6

/** Attempts per minute, for one account from one address. */
const MAX_PER_MINUTE = {
  login: ({ loginRateLimit }: Settings) => loginRateLimit,
  confirm_password: ({ confirmPasswordRateLimit }: Settings) => confirmPasswordRateLimit,
  two_factor: ({ twoFactorRateLimit }: Settings) => twoFactorRateLimit,
  register: ({ registerRateLimit }: Settings) => registerRateLimit,
  forgot_password: ({ forgotPasswordRateLimit }: Settings) => forgotPasswordRateLimit,
  reset_password: ({ forgotPasswordRateLimit }: Settings) => forgotPasswordRateLimit,
  verification: () => VERIFICATION_RATE_LIMIT,
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
  | 'exportDailyLimit'
>

export type AttemptKind = keyof typeof MAX_PER_MINUTE

/** The limits, as metrics name them. */
type LimitKind = AttemptKind | 'failed_auth' | 'data_export'

/** The attempts that verify a secret, and the counters of their failures. */
const FAILURE_COUNTERS = {
  login: 'failed-login',
  // Counted apart from logins: guesses from outside must not lock out a user who is already logged in.
  confirm_password: 'failed-confirmation',
  two_factor: 'failed-code',
} as const satisfies Partial<Record<AttemptKind, string>>

type SecretKind = keyof typeof FAILURE_COUNTERS

/** A password or a code that a caller entered. */
export interface EnteredSecret {
  /** The key under which attempts on the account are counted. */
  account: string
  /** Null when no user has the account. */
  userId: number | null
  verify(): Promise<boolean>
}

type AttemptOrigin = Pick<Caller, 'clientAddress'>

/**
 * Attempt limits on passwords, codes, tokens and mails. Wrong tokens are counted in memory or in Redis, because a
 * token cannot be guessed in practice; everything else is counted in the database.
 */
export interface Attempts {
  /**
   * Counts an attempt on an account and reports the remaining attempts to the caller.
   *
   * @throws {HttpError} 429 when the limit is used up
   */
  count(
    caller: AttemptOrigin & Pick<Caller, 'reportRemainingAttempts'>,
    kind: AttemptKind,
    account: string,
  ): Promise<void>
  /**
   * Verifies a secret unless the account had too many wrong ones within the hour. Failed logins, failed password
   * confirmations and failed codes have separate counters.
   *
   * @returns whether the secret is right
   * @throws {HttpError} 429 when the limit is used up
   */
  verifySecret(caller: AttemptOrigin, kind: SecretKind, secret: EnteredSecret): Promise<boolean>
  /**
   * Looks a token up unless the address presented too many wrong tokens within the minute.
   *
   * @param digest the key under which a right token is remembered
   * @returns the result of `lookUp`
   * @throws {HttpError} 429 when the limit is used up
   */
  lookUpToken<T extends { isRight: boolean }>(
    caller: AttemptOrigin,
    digest: string,
    lookUp: () => Promise<T>,
  ): Promise<T>
  /**
   * Whether {@link Attempts.lookUpToken} would look a token up at once, since it was right within the last ten minutes. Then
   * the caller may do so itself, without its promises, and reports the result to {@link Attempts.settleToken}.
   */
  isTokenVerified(caller: AttemptOrigin, digest: string): boolean
  /** Counts the result of a lookup of a verified token. Returns a promise only for a wrong one. */
  settleToken(caller: AttemptOrigin, digest: string, isRight: boolean): Promise<unknown> | undefined
  /**
   * Counts a registration.
   *
   * @throws {HttpError} 429 when the address registered too many accounts within the hour
   */
  countRegistration(caller: AttemptOrigin): Promise<void>
  /**
   * Counts an export of a user's data.
   *
   * @returns a function that takes it back, and logs its failure
   * @throws {HttpError} 429 when the user exported the data too often within a day
   */
  takeExport(userId: number): Promise<{ giveBack(): Promise<void> }>
}

/** Dependencies of {@link createAttempts}. */
export interface AttemptsDeps {
  config: Settings
  clock: () => EpochMillis
  monotonic: () => MonotonicMillis
  kysely: Kysely<Schema>
  attemptCounts: AttemptCounts
  /** Counters of wrong tokens. */
  guessCounters: Counters
  /** Called for each attempt that a limit refuses. */
  onLimited: (kind: LimitKind) => void
  log: Pick<Log, 'warn'>
}

/** Creates the {@link Attempts} of a server. */
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
  const warnOfRefund = (error: unknown) =>
    log.warn({ err: error }, 'an attempt could not be refunded and stays counted')
  const failures = failureLimits(config, attemptCounts, warnOfRefund)
  const takeExport = dailyLimit(attemptCounts, { name: 'exported', max: config.exportDailyLimit })
  const countRegistration = hourlyAddressLimit(
    attemptCounts,
    { name: 'registered', max: config.registerRateLimit * ACCOUNTS_PER_ADDRESS },
    monotonic,
  )
  const guess = createTokenLookup(guessCounters, config.rateLimitFailedAuth, monotonic)

  const withinLimit = async <T>(kind: LimitKind, work: () => Promise<T>): Promise<T> => {
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
      caller.reportRemainingAttempts(await withinLimit(kind, () => limits[kind](attempt)))
    },
    verifySecret: ({ clientAddress }, kind, { account, userId, verify }) =>
      withinLimit(kind, () =>
        failures[kind]({
          account,
          verify,
          // No exception for codes: a caller who guesses codes already has the password, so locking it out is
          // intended.
          isKnownAddress: async () =>
            kind !== 'two_factor' &&
            userId !== null &&
            (await hasLoggedInFrom(kysely, userId, clientAddress.key)),
        }),
      ),
    async lookUpToken<T extends { isRight: boolean }>(
      { clientAddress: { networks, isLocal } }: AttemptOrigin,
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
      await withinLimit('failed_auth', () => guess.lookUp(networks, digest, lookUpOnce))
      return found[0] as T
    },
    isTokenVerified: ({ clientAddress: { networks, isLocal } }, digest) =>
      isLocal || guess.isVerified(networks, digest),
    settleToken({ clientAddress: { networks, isLocal } }, digest, isRight) {
      return isLocal ? undefined : guess.settle(networks, digest, isRight)
    },
    countRegistration: ({ clientAddress }) => withinLimit('register', () => countRegistration(clientAddress)),
    async takeExport(userId) {
      const giveBack = await withinLimit('data_export', () => takeExport(String(userId)))
      return { giveBack: () => giveBack().catch(warnOfRefund) }
    },
  }
}

/** Limits per minute. Right attempts count, too. */
const attemptLimits = (config: Settings, counts: AttemptCounts, monotonic: () => MonotonicMillis) =>
  Object.fromEntries(
    Object.entries(MAX_PER_MINUTE).map(([kind, maxOf]) => [
      kind,
      attemptLimit(counts, { name: kind, max: maxOf(config) }, monotonic),
    ]),
  ) as Record<AttemptKind, ReturnType<typeof attemptLimit>>

/** Limits per hour on wrong secrets of an account. */
function failureLimits(
  config: Settings,
  counts: AttemptCounts,
  onRefundFailure: (error: unknown) => void,
): Record<SecretKind, ReturnType<typeof failureLimit>> {
  const limitOf = (kind: SecretKind, max: number) =>
    failureLimit(counts, { name: FAILURE_COUNTERS[kind], max }, onRefundFailure)
  return {
    login: limitOf('login', config.loginFailureLimit),
    confirm_password: limitOf('confirm_password', config.loginFailureLimit),
    two_factor: limitOf('two_factor', config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS),
  }
}

/**
 * Limits the lookups of tokens within every network of the address, from the narrowest to the widest.
 *
 * @param maxPerShare wrong tokens per minute for a network of share 1
 */
function createTokenLookup(counters: Counters, maxPerShare: number, monotonic: () => MonotonicMillis) {
  const limits = new Map<number, ReturnType<typeof wrongCredentialLimit>>()
  const limitOf = (share: number) => {
    const known = limits.get(share)
    if (known !== undefined) return known
    const limit = wrongCredentialLimit(counters, { max: maxPerShare * share, windowMs: MINUTE_MS }, monotonic)
    limits.set(share, limit)
    return limit
  }
  const lookUp = async (
    [network, ...wider]: readonly Network[],
    digest: string,
    find: () => Promise<boolean>,
  ): Promise<boolean> => {
    if (network === undefined) return find()
    let isRight = false
    await limitOf(network.share).attempt(network.key, digest, async () => {
      isRight = await lookUp(wider, digest, find)
      return isRight
    })
    return isRight
  }
  return {
    lookUp,
    isVerified(networks: readonly Network[], digest: string): boolean {
      for (const { share } of networks) if (!limitOf(share).isVerified(digest)) return false
      return true
    },
    settle(networks: readonly Network[], digest: string, isRight: boolean): Promise<unknown> | undefined {
      const counted: Promise<unknown>[] = []
      for (const { key, share } of networks) {
        const counting = limitOf(share).settle(key, digest, isRight)
        if (counting !== undefined) counted.push(counting)
      }
      return counted.length === 0 ? undefined : Promise.all(counted)
    },
  }
}
