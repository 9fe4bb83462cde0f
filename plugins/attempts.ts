import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { tooManyRequests } from '#src/answers/errors.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { hasLoggedInFrom } from '#src/database/login-addresses.ts'
import {
  ACCOUNTS_PER_ADDRESS,
  attemptLimit,
  failureLimit,
  hourlyAddressLimit,
} from '#src/limits/attempt-limit.ts'
import type { Network } from '#src/limits/client-address.ts'
import { LimitExceeded } from '#src/limits/counters.ts'
import { guessLimit } from '#src/limits/guess-limit.ts'

/** Laravel's limit for links that verify an e-mail address and for asking for one. */
const VERIFICATIONS = 6

/** How often a minute each of these may be tried for an account from an address. */
const MAX = {
  login: ({ loginRateLimit }: Config) => loginRateLimit,
  confirm_password: ({ confirmPasswordRateLimit }: Config) => confirmPasswordRateLimit,
  two_factor: ({ twoFactorRateLimit }: Config) => twoFactorRateLimit,
  register: ({ registerRateLimit }: Config) => registerRateLimit,
  forgot_password: ({ forgotPasswordRateLimit }: Config) => forgotPasswordRateLimit,
  reset_password: ({ forgotPasswordRateLimit }: Config) => forgotPasswordRateLimit,
  verification: () => VERIFICATIONS,
} as const

/** What counts as an attempt. */
export type AttemptKind = keyof typeof MAX

/** What of these opens something, and what it is counted as when it is wrong. */
const SECRETS = {
  login: 'failed-login',
  // Nobody can shut out who is logged in by guessing from outside.
  confirm_password: 'failed-confirmation',
  two_factor: 'failed-code',
} as const satisfies Partial<Record<AttemptKind, string>>

/** A password or a code that somebody enters. */
interface EnteredSecret {
  /** What its account is counted under. */
  account: string
  /** Whose account it is; null for nobody's. */
  userId: number | null
  /** Whether it is right. */
  verify(): Promise<boolean>
}

interface Attempts {
  /**
   * Counts an attempt for an account, and tells in the answer's headers what is left.
   *
   * @throws {HttpError} 429 when the limit is used up
   */
  count(request: FastifyRequest, reply: FastifyReply, kind: AttemptKind, account: string): Promise<void>
  /**
   * Tries a password or a code, unless the account has seen too many wrong ones within the hour. Those of a login, of
   * who is logged in already, and of second factors are counted apart.
   *
   * @returns whether it was right
   * @throws {HttpError} 429 when the limit is used up
   */
  judge(request: FastifyRequest, kind: keyof typeof SECRETS, secret: EnteredSecret): Promise<boolean>
  /**
   * Looks a token up, unless the address has shown too many wrong ones within the minute.
   *
   * @param digest what it is remembered by when it is right
   * @returns what `lookUp` found
   * @throws {HttpError} 429 when the limit is used up
   */
  guess<T extends { isRight: boolean }>(
    request: FastifyRequest,
    digest: string,
    lookUp: () => Promise<T>,
    onExceeded?: () => void,
  ): Promise<T>
  /**
   * Counts a new account.
   *
   * @throws {HttpError} 429 when its address has made too many within the hour
   */
  countRegistration(request: FastifyRequest): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    attempts: Attempts
  }
}

/**
 * Adds `app.attempts`, which bounds how often people try what opens something or reaches somebody. Wrong tokens are
 * counted in memory or in Redis, since nobody guesses them; all else in the database.
 */
export default fp(
  async app => {
    const { config, clock, monotonic, attemptCounts, metrics, log } = app
    const { logins: kysely } = app.database

    const limits = Object.fromEntries(
      Object.entries(MAX).map(([kind, maxOf]) => [
        kind,
        attemptLimit(attemptCounts, { name: kind, max: maxOf(config) }, monotonic),
      ]),
    ) as Record<AttemptKind, ReturnType<typeof attemptLimit>>
    const failuresOf = (kind: keyof typeof SECRETS, max: number) =>
      failureLimit(attemptCounts, { name: SECRETS[kind], max }, error =>
        log.warn({ err: error }, 'an attempt that was not wrong could not be given back, and stays counted'),
      )
    const failures = {
      login: failuresOf('login', config.loginFailureLimit),
      confirm_password: failuresOf('confirm_password', config.loginFailureLimit),
      two_factor: failuresOf('two_factor', config.twoFactorRateLimit * ACCOUNTS_PER_ADDRESS),
    }
    const countRegistration = hourlyAddressLimit(
      attemptCounts,
      { name: 'registered', max: config.registerRateLimit * ACCOUNTS_PER_ADDRESS },
      monotonic,
    )

    /** By how many customers' worth of wrong tokens a network may show. */
    const guesses = new Map<number, ReturnType<typeof guessLimit>>()
    const guessesOf = (share: number) => {
      const max = config.rateLimitFailedAuth * share
      const limit =
        guesses.get(share) ??
        guessLimit(app.countersOf('failed-auth'), { max, windowMs: MINUTE_MS }, monotonic)
      guesses.set(share, limit)
      return limit
    }
    /** Tries a token within the bound of each network that its address is in, the narrowest first. */
    const guess = async (
      [network, ...wider]: readonly Network[],
      digest: string,
      lookUp: () => Promise<boolean>,
    ): Promise<boolean> => {
      if (network === undefined) return lookUp()
      let isRight = false
      await guessesOf(network.share).attempt(network.key, digest, async () => {
        isRight = await guess(wider, digest, lookUp)
        return isRight
      })
      return isRight
    }

    const within = async <T>(
      kind: AttemptKind | 'failed_auth',
      work: () => Promise<T>,
      onExceeded = () => {},
    ): Promise<T> => {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof LimitExceeded)) throw error
        onExceeded()
        metrics.rateLimited(kind)
        throw tooManyRequests(error, clock())
      }
    }

    app.decorate('attempts', {
      async count({ clientAddress }, reply, kind, account) {
        const attempt = { account, address: clientAddress }
        const { max, remaining } = await within(kind, () => limits[kind](attempt))
        reply.headers({ 'x-ratelimit-limit': max, 'x-ratelimit-remaining': remaining })
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
        request: FastifyRequest,
        digest: string,
        lookUp: () => Promise<T>,
        onExceeded?: () => void,
      ): Promise<T> {
        const { networks, isLocal } = request.clientAddress
        if (isLocal) return lookUp()
        const found: T[] = []
        await within(
          'failed_auth',
          () =>
            guess(networks, digest, async () => {
              const one = await lookUp()
              found.push(one)
              return one.isRight
            }),
          onExceeded,
        )
        return found[0] as T
      },
      countRegistration: ({ clientAddress }) => within('register', () => countRegistration(clientAddress)),
    })
  },
  { name: 'attempts', dependencies: ['client-address', 'counters', 'database', 'metrics'] },
)
