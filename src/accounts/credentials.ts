import { availableParallelism } from 'node:os'
import type { Kysely } from 'kysely'
import {
  createPasswordHashing,
  needsRehash,
  type PasswordHash,
  type PasswordWork,
  passwordFault,
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
  SlotRefused,
} from '#src/runtime/fair-queue.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Millis, MonotonicMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'

/** Concurrent password hashes. One processor stays free for the event loop and the database. */
const CONCURRENCY = Math.max(1, Math.min(3, availableParallelism() - 1))

/** Queue capacity. The deadline limits the waiting time; these limit the memory. */
const QUEUE_CAPACITY = { known: 50, stranger: 100 }

/** Queue capacity of one client network. */
const QUEUE_CAPACITY_PER_NETWORK = 4

/**
 * For how many slots a network's last slot is remembered by the round-robin. A flood from fewer stranger networks
 * than this cannot delay a new network. Known callers rarely flood, and a second login of one must not wait for first
 * logins of others.
 */
const NETWORK_MEMORY = { known: 0, stranger: 128 }

/** The longest wait in the queue: about twenty slots of one processor at bcrypt cost 12. */
const DEADLINE_MS: Millis = 5_000

/** An id that no user has. */
const NO_USER_ID = 0

/** What the queue needs to know of a caller. */
type HashingCaller = Pick<Caller, 'clientAddress' | 'identity' | 'connection'>

/**
 * The only code that verifies passwords. Hashing is limited to {@link CONCURRENCY} slots, distributed round-robin
 * over client networks: see {@link fairQueue}.
 */
export interface PasswordCredentials {
  /**
   * Verifies the password of an account, within the attempt limit of logins or of password confirmations. The
   * remaining attempts are reported to the caller. The hash of a right password is upgraded if it is weaker than new
   * ones.
   *
   * @returns the account's credentials; null for a wrong password and for an unknown account, after the same time
   * @throws {HttpError} 429 when a limit is used up
   * @throws {TurnRefused} when the queue refuses the caller, which does not count as a wrong password
   */
  check(
    caller: HashingCaller & Pick<Caller, 'reportRemainingAttempts' | 'record'>,
    entered: { email: string; password: string; as: 'login' | 'confirm_password' },
  ): Promise<Credentials | null>
  /**
   * Hashes a new password.
   *
   * @throws {TurnRefused} when the queue refuses the caller
   */
  hash(caller: HashingCaller, password: string): Promise<PasswordHash>
  /**
   * Whether a reset token matches a hash. Without a hash it takes the same time.
   *
   * @throws {TurnRefused} when the queue refuses the caller
   */
  verifyResetToken(caller: HashingCaller, token: string, hash: PasswordHash | null): Promise<boolean>
  /** The number of waiting callers. */
  waiting(lane: Lane): number
}

/** Dependencies of {@link createCredentials}. */
export interface CredentialsDeps {
  config: Pick<Config, 'hashRounds'>
  kysely: Kysely<Schema>
  attempts: Attempts
  /** Verifies and hashes passwords off the event loop. */
  work: PasswordWork
  schedule: Schedule
  monotonic: () => MonotonicMillis
  /** Called for each caller that the queue refuses. */
  onRefusal: (reason: RefusalReason) => void
}

/** Creates the {@link PasswordCredentials} of a server. */
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
    capacity: QUEUE_CAPACITY,
    maxPerNetwork: QUEUE_CAPACITY_PER_NETWORK,
    slotMemory: NETWORK_MEMORY,
    deadlineMs: DEADLINE_MS,
    schedule,
    monotonic,
    onRefusal,
  })
  const { verify, hash } = createPasswordHashing({ rounds: config.hashRounds, queue, work })

  /** Callers that presented a right password or token. */
  const provenCallers = new WeakSet<HashingCaller>()

  const toQueuedCaller = (caller: HashingCaller, isKnown = false): QueuedCaller => {
    const { networks, isLocal } = caller.clientAddress
    return {
      network: (networks.at(-1) as Network).key,
      lane: isKnown || caller.identity !== null || provenCallers.has(caller) ? 'known' : 'stranger',
      isUnbounded: isLocal,
      connection: caller.connection,
    }
  }

  const verifyOf = async (
    caller: HashingCaller,
    turn: QueuedCaller,
    secret: string,
    against: string | null,
  ) => {
    const isRight = await verify(secret, against, turn)
    if (isRight) provenCallers.add(caller)
    return isRight
  }

  /** Queries the database for unknown accounts as well, so that the time does not reveal which accounts exist. */
  const isKnownAddress = ({ clientAddress }: HashingCaller, userId: number | null) =>
    hasLoggedInFrom(kysely, userId ?? NO_USER_ID, clientAddress.key)

  /** Upgrades the hash if it is weaker than new ones. Null when the password was changed concurrently. */
  const upgradeHash = async (
    caller: HashingCaller,
    credentials: Credentials,
    password: string,
  ): Promise<Credentials | null> => {
    const { userId, password: from } = credentials
    if (!needsRehash(from, config.hashRounds) || passwordFault(password) !== null) return credentials
    const to = await hash(password, toQueuedCaller(caller)).catch(error => {
      if (error instanceof SlotRefused) return null
      throw error
    })
    // The next login upgrades it.
    if (to === null) return credentials
    if (await rehashPassword(kysely, userId, { from, to })) return { ...credentials, password: to }
    // A concurrent login upgraded the hash, or the password was changed.
    const present = await findCredentialsById(kysely, userId)
    const isRight = present !== null && (await verify(password, present.password, toQueuedCaller(caller)))
    return isRight ? present : null
  }

  return {
    async check(caller, { email, password, as }) {
      const account = accountKey(email)
      await attempts.count(caller, as, account)
      const credentials = await findCredentials(kysely, email)
      const userId = credentials?.userId ?? null
      const isRight = await attempts.verifySecret(caller, as, {
        account,
        userId,
        verify: async () => {
          const isKnown = caller.identity === null && !queue.isFree && (await isKnownAddress(caller, userId))
          return verifyOf(caller, toQueuedCaller(caller, isKnown), password, credentials?.password ?? null)
        },
      })
      if (!isRight || credentials === null) {
        caller.record('wrong password', { userId, cause: as })
        return null
      }
      return upgradeHash(caller, credentials, password)
    },
    hash: (caller, password) => hash(password, toQueuedCaller(caller)),
    verifyResetToken: (caller, token, against) => verifyOf(caller, toQueuedCaller(caller), token, against),
    waiting: lane => queue.waiting(lane),
  }
}
