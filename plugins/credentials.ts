import { availableParallelism } from 'node:os'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isWeaker, type PasswordHash, passwordFault, passwords } from '../src/auth/password.ts'
import {
  type Credentials,
  findCredentials,
  findCredentialsById,
  rehashPassword,
} from '../src/database/users.ts'
import { accountKey } from '../src/limits/attempt-limit.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Hashes a new password.
     *
     * @throws {PasswordsBusy} when too many passwords are waiting already
     */
    hashPassword(password: string): Promise<PasswordHash>
    /**
     * Whether a reset token belongs to a hash. Without a hash it takes as long.
     *
     * @throws {PasswordsBusy} when too many passwords are waiting already
     */
    verifyResetToken(token: string, hash: PasswordHash | null): Promise<boolean>
  }
  interface FastifyRequest {
    /**
     * Checks an account's password, within the limits for logins or for those who are logged in and enter it again,
     * which it tells in the answer's headers. A right one is hashed anew if its hash is weaker than those of today.
     *
     * @returns the account's credentials; null for a wrong password and for no account, after the same time
     * @throws {HttpError} 429 when a limit is used up
     * @throws {PasswordsBusy} when too many passwords are waiting to be checked
     */
    checkPassword(
      reply: FastifyReply,
      entered: { email: string; password: string; as: 'login' | 'confirm_password' },
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
    const { config } = app
    const { logins: kysely } = app.database
    const { verify, hash } = passwords({
      rounds: config.hashRounds,
      concurrency: CONCURRENCY,
      waiting: WAITING,
    })
    app.decorate('hashPassword', hash)
    app.decorate('verifyResetToken', verify)

    const strengthened = async (credentials: Credentials, password: string): Promise<Credentials | null> => {
      const { userId, password: from } = credentials
      if (!isWeaker(from, config.hashRounds) || passwordFault(password) !== null) return credentials
      const to = await hash(password)
      if (await rehashPassword(kysely, userId, { from, to })) return { ...credentials, password: to }
      // Another login has done so meanwhile, or somebody has set another password.
      const present = await findCredentialsById(kysely, userId)
      return present !== null && (await verify(password, present.password)) ? present : null
    }

    app.decorateRequest(
      'checkPassword',
      async function (this: FastifyRequest, reply: FastifyReply, { email, password, as }) {
        const account = accountKey(email)
        await app.attempts.count(this, reply, as, account)
        const credentials = await findCredentials(kysely, email)
        const isRight = await app.attempts.judge(this, as, {
          account,
          userId: credentials?.userId ?? null,
          verify: () => verify(password, credentials?.password ?? null),
        })
        if (!isRight || credentials === null) {
          this.record('wrong password', { userId: credentials?.userId ?? null, cause: as })
          return null
        }
        return strengthened(credentials, password)
      },
    )
  },
  { name: 'credentials', dependencies: ['attempts', 'events'] },
)
