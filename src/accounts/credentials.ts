import { availableParallelism } from 'node:os'
import type { Kysely } from 'kysely'
import {
  isWeaker,
  type PasswordHash,
  type PasswordWork,
  passwordFault,
  passwords,
} from '#src/auth/password.ts'
import type { Config } from '#src/config/config.ts'
import { hasLoggedInFrom } from '#src/database/login-addresses.ts'
import { rehashPassword } from '#src/database/passwords.ts'
import type { Schema } from '#src/database/schema.ts'
import { type Credentials, findCredentials, findCredentialsById } from '#src/database/users.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { Network } from '#src/limits/client-address.ts'
import {
  fairQueue,
  type Lane,
  type QueuedCaller,
  type RefusalReason,
  TurnRefused,
} from '#src/runtime/fair-queue.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'

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

/** Who waits for a turn. */
type Waiting = Pick<Caller, 'clientAddress' | 'identity' | 'connection'>

/**
 * The only place where a password opens something. Work on passwords is done in turns that go round by client network,
 * see {@link fairQueue}.
 */
export interface PasswordCredentials {
  /**
   * Checks an account's password, within the limits for logins or for those who are logged in and enter it again,
   * which it tells the caller. A right one is hashed anew if its hash is weaker than those of today.
   *
   * @returns the account's credentials; null for a wrong password and for no account, after the same time
   * @throws {HttpError} 429 when a limit is used up
   * @throws {TurnRefused} when the caller gets no turn, which counts as no wrong password
   */
  check(
    caller: Waiting & Pick<Caller, 'tellAttempts' | 'record'>,
    entered: { email: string; password: string; as: 'login' | 'confirm_password' },
  ): Promise<Credentials | null>
  /**
   * Hashes a new password.
   *
   * @throws {TurnRefused} when the caller gets no turn
   */
  hash(caller: Waiting, password: string): Promise<PasswordHash>
  /**
   * Whether a reset token belongs to a hash. Without a hash it takes as long.
   *
   * @throws {TurnRefused} when the caller gets no turn
   */
  verifyResetToken(caller: Waiting, token: string, hash: PasswordHash | null): Promise<boolean>
  /** How many wait for a turn. */
  waiting(lane: Lane): number
}

/** What {@link createCredentials} works with. */
export interface CredentialsDeps {
  config: Pick<Config, 'hashRounds'>
  kysely: Kysely<Schema>
  attempts: Attempts
  /** Checks and hashes passwords, off the event loop. */
  work: PasswordWork
  schedule: Schedule
  /** Milliseconds since a moment that does not change. */
  monotonic: () => number
  /** Hears of each caller that gets no turn. */
  onRefusal: (reason: RefusalReason) => void
}

/** Makes the {@link PasswordCredentials} of a server. */
export function createCredentials({
  config,
  kysely,
  attempts,
  work,
  schedule,
  monotonic,
  onRefusal,
}: CredentialsDeps): PasswordCredentials {
  const queue = fairQueue({
    concurrency: CONCURRENCY,
    places: PLACES,
    perNetwork: PLACES_PER_NETWORK,
    memory: MEMORY,
    deadlineMs: DEADLINE_MS,
    schedule,
    monotonic,
    onRefusal,
  })
  const { verify, hash } = passwords({ rounds: config.hashRounds, queue, work })

  /** Callers that have shown a right password or token. */
  const proven = new WeakSet<Waiting>()

  const queued = (caller: Waiting, isKnown = false): QueuedCaller => {
    const { networks, isLocal } = caller.clientAddress
    return {
      network: (networks.at(-1) as Network).key,
      lane: isKnown || caller.identity !== null || proven.has(caller) ? 'known' : 'stranger',
      isUnbounded: isLocal,
      connection: caller.connection,
    }
  }

  const proves = async (caller: Waiting, turn: QueuedCaller, secret: string, against: string | null) => {
    const isRight = await verify(secret, against, turn)
    if (isRight) proven.add(caller)
    return isRight
  }

  /** Asks the same of the database for accounts that do not exist: the time tells nothing. */
  const isKnownAddress = ({ clientAddress }: Waiting, userId: number | null) =>
    hasLoggedInFrom(kysely, userId ?? NOBODY, clientAddress.key)

  /** The credentials with a hash as strong as those of today; null when the password was changed meanwhile. */
  const strengthened = async (
    caller: Waiting,
    credentials: Credentials,
    password: string,
  ): Promise<Credentials | null> => {
    const { userId, password: from } = credentials
    if (!isWeaker(from, config.hashRounds) || passwordFault(password) !== null) return credentials
    const to = await hash(password, queued(caller)).catch(error => {
      if (error instanceof TurnRefused) return null
      throw error
    })
    // The next login hashes it.
    if (to === null) return credentials
    if (await rehashPassword(kysely, userId, { from, to })) return { ...credentials, password: to }
    // Another login has done so meanwhile, or somebody has set another password.
    const present = await findCredentialsById(kysely, userId)
    const isRight = present !== null && (await verify(password, present.password, queued(caller)))
    return isRight ? present : null
  }

  return {
    async check(caller, { email, password, as }) {
      const account = accountKey(email)
      await attempts.count(caller, as, account)
      const credentials = await findCredentials(kysely, email)
      const userId = credentials?.userId ?? null
      const isRight = await attempts.judge(caller, as, {
        account,
        userId,
        verify: async () => {
          const isKnown = caller.identity === null && !queue.isFree && (await isKnownAddress(caller, userId))
          return proves(caller, queued(caller, isKnown), password, credentials?.password ?? null)
        },
      })
      if (!isRight || credentials === null) {
        caller.record('wrong password', { userId, cause: as })
        return null
      }
      return strengthened(caller, credentials, password)
    },
    hash: (caller, password) => hash(password, queued(caller)),
    verifyResetToken: (caller, token, against) => proves(caller, queued(caller), token, against),
    waiting: lane => queue.waiting(lane),
  }
}
