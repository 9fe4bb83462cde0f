import { availableParallelism } from 'node:os'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { tooManyRequests } from '../src/api/errors.ts'
import { isWeaker, type PasswordHash, passwordFault, passwords } from '../src/auth/password.ts'
import { hasLoggedInFrom } from '../src/database/login-addresses.ts'
import { type Credentials, findCredentials, rehashPassword } from '../src/database/users.ts'
import { LimitExceeded } from '../src/limits/counters.ts'
import { loginLimits } from '../src/limits/login-limits.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Hashes a new password.
     *
     * @throws {PasswordsBusy} when too many passwords are waiting already
     */
    hashPassword(password: string): Promise<PasswordHash>
  }
  interface FastifyRequest {
    /**
     * Checks an account's password, within the limits for logins, which it tells in the answer's headers. A right
     * one is hashed anew if its hash is weaker than those of today.
     *
     * @returns the account's credentials; null for a wrong password and for no account, after the same time
     * @throws {HttpError} 429 when a limit is used up
     * @throws {PasswordsBusy} when too many passwords are waiting to be checked
     */
    checkPassword(
      reply: FastifyReply,
      login: { email: string; password: string },
    ): Promise<Credentials | null>
  }
}

/** Passwords that are checked at once: Node has four threads for such work, and one is left for files and names. */
const CONCURRENCY = Math.max(1, Math.min(3, availableParallelism() - 1))

/** Some seconds' work. */
const WAITING = 100

/** Adds `request.checkPassword()`, the only place where a password opens something, and `app.hashPassword()`. */
export default fp(
  async app => {
    const { config, clock, counters, metrics } = app
    const { kysely } = app.database
    const { verify, hash } = passwords({
      rounds: config.hashRounds,
      concurrency: CONCURRENCY,
      waiting: WAITING,
    })
    app.decorate('hashPassword', hash)
    const attempt = loginLimits(counters, config, clock)

    const strengthened = async (credentials: Credentials, password: string): Promise<Credentials> => {
      const { userId, password: from } = credentials
      if (!isWeaker(from, config.hashRounds) || passwordFault(password) !== null) return credentials
      const to = await hash(password)
      return (await rehashPassword(kysely, userId, { from, to }))
        ? { ...credentials, password: to }
        : credentials
    }

    app.decorateRequest(
      'checkPassword',
      async function (this: FastifyRequest, reply: FastifyReply, { email, password }) {
        const address = this.clientAddress.key
        const credentials = await findCredentials(kysely, email)
        try {
          const { isRight, max, remaining } = await attempt({
            email,
            address,
            verify: () => verify(password, credentials?.password ?? null),
            isKnownAddress: async () =>
              credentials !== null && (await hasLoggedInFrom(kysely, credentials.userId, address)),
          })
          reply.headers({ 'x-ratelimit-limit': max, 'x-ratelimit-remaining': remaining })
          return isRight && credentials !== null ? await strengthened(credentials, password) : null
        } catch (error) {
          if (!(error instanceof LimitExceeded)) throw error
          metrics.rateLimited('login')
          throw tooManyRequests(error, clock())
        }
      },
    )
  },
  { name: 'credentials', dependencies: ['client-address', 'counters', 'database', 'metrics'] },
)
