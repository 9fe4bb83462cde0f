import { availableParallelism } from 'node:os'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Gauge } from 'prom-client'
import { hashWorkers } from '#src/auth/hash-workers.ts'
import {
  isWeaker,
  type PasswordHash,
  type PasswordWork,
  passwordFault,
  passwords,
} from '#src/auth/password.ts'
import { hasLoggedInFrom } from '#src/database/login-addresses.ts'
import { rehashPassword } from '#src/database/passwords.ts'
import { type Credentials, findCredentials, findCredentialsById } from '#src/database/users.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { Network } from '#src/limits/client-address.ts'
import { fairQueue, type QueuedCaller, TurnRefused } from '#src/runtime/fair-queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Hashes a new password.
     *
     * @throws {TurnRefused} when the caller gets no turn
     */
    hashPassword(request: FastifyRequest, password: string): Promise<PasswordHash>
    /**
     * Whether a reset token belongs to a hash. Without a hash it takes as long.
     *
     * @throws {TurnRefused} when the caller gets no turn
     */
    verifyResetToken(request: FastifyRequest, token: string, hash: PasswordHash | null): Promise<boolean>
  }
  interface FastifyRequest {
    /**
     * Checks an account's password, within the limits for logins or for those who are logged in and enter it again,
     * which it tells in the answer's headers. A right one is hashed anew if its hash is weaker than those of today.
     *
     * @returns the account's credentials; null for a wrong password and for no account, after the same time
     * @throws {HttpError} 429 when a limit is used up
     * @throws {TurnRefused} when the caller gets no turn, which counts as no wrong password
     */
    checkPassword(
      reply: FastifyReply,
      entered: { email: string; password: string; as: 'login' | 'confirm_password' },
    ): Promise<Credentials | null>
  }
}

/** Passwords that are worked on at once: one processor is left for the event loop and the database. */
const CONCURRENCY = Math.max(1, Math.min(3, availableParallelism() - 1))

/** Callers that can wait for a turn. What they wait is bounded by the deadline, these bound the memory. */
const PLACES = { known: 50, stranger: 100 }

/** Callers of one network that can wait. */
const PLACES_PER_NETWORK = 4

/**
 * Turns for which a network's last one counts. Among strangers a flood of fewer networks is to delay no new one. Known
 * callers are seldom a flood, and those who log in twice are not to wait for others who log in once.
 */
const MEMORY = { known: 0, stranger: 128 }

/** The longest wait for a turn, in milliseconds: some twenty turns of one processor at cost 12. */
const DEADLINE_MS = 5_000

/** The id of no user. */
const NOBODY = 0

/**
 * Adds `request.checkPassword()`, the only place where a password opens something, and `app.hashPassword()`. Their work
 * is done in turns that go round by client network, see {@link fairQueue}.
 */
export default fp(
  async app => {
    const { config, schedule, monotonic, metrics } = app
    const { logins: kysely } = app.database
    const queue = fairQueue({
      concurrency: CONCURRENCY,
      places: PLACES,
      perNetwork: PLACES_PER_NETWORK,
      memory: MEMORY,
      deadlineMs: DEADLINE_MS,
      schedule,
      monotonic,
      onRefusal: metrics.passwordRefused,
    })
    new Gauge({
      name: 'passwords_waiting',
      help: 'Requests that wait for their password to be checked or hashed, by lane.',
      labelNames: ['lane'],
      registers: [metrics.registry],
      collect() {
        for (const lane of ['known', 'stranger'] as const) this.set({ lane }, queue.waiting(lane))
      },
    })
    const workers = app.passwordWork === null ? hashWorkers() : null
    app.addHook('onClose', () => workers?.close())
    const work = (workers ?? app.passwordWork) as PasswordWork
    const { verify, hash } = passwords({ rounds: config.hashRounds, queue, work })

    /** Requests that have shown a right password or token. */
    const proven = new WeakSet<FastifyRequest>()

    const callerOf = (request: FastifyRequest, isKnown = false): QueuedCaller => {
      const { networks, isLocal } = request.clientAddress
      return {
        network: (networks.at(-1) as Network).key,
        lane: isKnown || request.identity !== null || proven.has(request) ? 'known' : 'stranger',
        isUnbounded: isLocal,
        connection: request.raw.socket,
      }
    }

    const proves = async (
      request: FastifyRequest,
      caller: QueuedCaller,
      secret: string,
      against: string | null,
    ) => {
      const isRight = await verify(secret, against, caller)
      if (isRight) proven.add(request)
      return isRight
    }

    /** Asks the same of the database for accounts that do not exist: the time tells nothing. */
    const isKnownAddress = (request: FastifyRequest, userId: number | null) =>
      hasLoggedInFrom(kysely, userId ?? NOBODY, request.clientAddress.key)

    app.decorate('hashPassword', (request: FastifyRequest, password: string) =>
      hash(password, callerOf(request)),
    )
    app.decorate('verifyResetToken', (request: FastifyRequest, token: string, against: PasswordHash | null) =>
      proves(request, callerOf(request), token, against),
    )

    const strengthened = async (
      request: FastifyRequest,
      credentials: Credentials,
      password: string,
    ): Promise<Credentials | null> => {
      const { userId, password: from } = credentials
      if (!isWeaker(from, config.hashRounds) || passwordFault(password) !== null) return credentials
      const to = await hash(password, callerOf(request)).catch(error => {
        if (error instanceof TurnRefused) return null
        throw error
      })
      // The next login hashes it.
      if (to === null) return credentials
      if (await rehashPassword(kysely, userId, { from, to })) return { ...credentials, password: to }
      // Another login has done so meanwhile, or somebody has set another password.
      const present = await findCredentialsById(kysely, userId)
      const isRight = present !== null && (await verify(password, present.password, callerOf(request)))
      return isRight ? present : null
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
          verify: async () => {
            const userId = credentials?.userId ?? null
            const isKnown = this.identity === null && !queue.isFree && (await isKnownAddress(this, userId))
            return proves(this, callerOf(this, isKnown), password, credentials?.password ?? null)
          },
        })
        if (!isRight || credentials === null) {
          this.record('wrong password', { userId: credentials?.userId ?? null, cause: as })
          return null
        }
        return strengthened(this, credentials, password)
      },
    )
  },
  { name: 'credentials', dependencies: ['attempts', 'client-address', 'events', 'metrics'] },
)
