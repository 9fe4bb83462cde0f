import type { Kysely, Transaction } from 'kysely'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import {
  confirmSecondFactor,
  findSecondFactor,
  removeSecondFactor,
  type StoredSecondFactor,
  storeRecoveryCodes,
  storeSecondFactor,
} from '#src/database/second-factors.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import {
  createSecondFactorSecrets,
  proofName,
  type SecondFactorProof,
  type SecondFactorSecretsDeps,
  wrongProof,
} from './second-factor-proof.ts'

/** How far a user's second factor has come. */
export type SecondFactorState =
  | { status: 'none' | 'unconfirmed' }
  | {
      status: 'confirmed'
      /** When a code confirmed it. */
      since: string | null
      /** Whether the recovery codes are shown without a proof, as they were made a few minutes ago. */
      showsCodes: boolean
    }

/**
 * A user's own second factor. What weakens a confirmed one, or shows what stands in for it, needs a proof of it besides
 * the confirmed password, so that a stolen session and password are not enough. An unconfirmed one belongs to the session
 * that made it: to every other session there is none, so that nobody confirms one whose secret another session knows.
 *
 * All of them throw {HttpError} 422 for a proof that is missing or wrong, 429 when a limit is used up, and as
 * {@link Caller.authorized}.
 */
export interface SecondFactor {
  /** Whether there is one, and whether it is asked for. */
  state(caller: Caller): Promise<SecondFactorState>
  /** The secret that waits to be confirmed; null for none, and once it is confirmed. */
  pendingSecret(caller: Caller): Promise<string | null>
  /** Makes a new one, which has to be confirmed, unless there is one that is not to be replaced. */
  enable(caller: Caller, options: { isForced: boolean; proof: SecondFactorProof }): Promise<void>
  /** Has it asked for from now on, after a code that shows that the app knows the secret. Ends all other sessions. */
  confirm(caller: Caller, code: string | null): Promise<void>
  /** Takes it away. */
  disable(caller: Caller, proof: SecondFactorProof): Promise<void>
  /** Shows the recovery codes. */
  recoveryCodes(caller: Caller, proof: SecondFactorProof): Promise<string[]>
  /** Makes new recovery codes in the place of those that are there. */
  replaceRecoveryCodes(caller: Caller, proof: SecondFactorProof): Promise<void>
  /** Whether a proof is right, and was not used before; it is used then. The caller holds the user's lock. */
  accepts(transaction: Transaction<Schema>, userId: number, proof: SecondFactorProof): Promise<boolean>
}

/** What {@link createSecondFactor} works with. */
export interface SecondFactorDeps extends SecondFactorSecretsDeps {
  config: Pick<Config, 'twoFactorDisableNeedsCode'>
  kysely: Kysely<Schema>
  attempts: Attempts
}

/** What is done to a second factor under its user's lock. */
type Write<T> = (
  transaction: Transaction<Schema>,
  identity: SessionIdentity,
  stored: StoredSecondFactor,
) => Promise<T>

/** For how long recovery codes are shown without a proof after they were made, in milliseconds. */
const SHOWN_MS = 10 * MINUTE_MS

/** Makes the {@link SecondFactor} of a server. */
export function createSecondFactor({ config, kysely, attempts, ...deps }: SecondFactorDeps): SecondFactor {
  const { clock } = deps
  const secrets = createSecondFactorSecrets(deps)
  const proven = provenWrites(attempts, secrets.accepts)

  const areCodesNew = ({ recoveryCodesMadeAt: madeAt }: StoredSecondFactor) =>
    madeAt !== null && clock() - madeAt <= SHOWN_MS

  return {
    accepts: secrets.accepts,
    async state(caller) {
      const stored = await findSeen(kysely, caller.sessionCaller())
      if (stored === null || stored.secret === null) return { status: 'none' }
      if (!stored.isConfirmed) return { status: 'unconfirmed' }
      return { status: 'confirmed', since: stored.confirmedAt, showsCodes: areCodesNew(stored) }
    },
    async pendingSecret(caller) {
      const identity = caller.sessionCaller()
      const stored = await findSeen(kysely, identity)
      return stored === null || stored.isConfirmed ? null : secrets.openSecret(identity.user.id, stored)
    },
    async enable(caller, { isForced, proof }) {
      const made = { secret: secrets.mintSecret(), recoveryCodes: secrets.mintCodes() }
      const needsProof = ({ isConfirmed }: StoredSecondFactor) => isConfirmed && isForced
      const replaced = await proven(caller, proof, needsProof, async (transaction, identity, before) => {
        if (before.secret !== null && !isForced) return null
        const { user, session } = identity
        await storeSecondFactor(transaction, user.id, {
          ...made,
          session: session.id.digest(),
          now: clock(),
        })
        return { userId: user.id, confirmed: before.isConfirmed }
      })
      if (replaced !== null) caller.record('second factor enabled', replaced)
    },
    async confirm(caller, code) {
      const proof = { code, recoveryCode: null }
      if (code === null) throw wrongProof(proof)
      const userId = await judged(attempts, caller, proof, () =>
        caller.authorized<number | null | 'wrong', SessionIdentity>(async (transaction, identity) => {
          const { user, session } = identity
          const stored = (await findSeen(transaction, identity)) as StoredSecondFactor
          if (!(await secrets.acceptsCode(transaction, user.id, stored, code))) return 'wrong'
          if (stored.isConfirmed) return null
          await confirmSecondFactor(transaction, user.id, { session: session.id.digest(), now: clock() })
          return user.id
        }),
      )
      if (userId !== null) caller.record('second factor confirmed', { userId })
    },
    async disable(caller, proof) {
      const needsProof = ({ isConfirmed }: StoredSecondFactor) =>
        isConfirmed && config.twoFactorDisableNeedsCode
      const removed = await proven(caller, proof, needsProof, async (transaction, { user }, before) =>
        (await removeSecondFactor(transaction, user.id, clock()))
          ? { userId: user.id, confirmed: before.isConfirmed }
          : null,
      )
      if (removed !== null) caller.record('second factor removed', removed)
    },
    async recoveryCodes(caller, proof) {
      const needsProof = (stored: StoredSecondFactor) => stored.isConfirmed && !areCodesNew(stored)
      const { codes, ...shown } = await proven(caller, proof, needsProof, async (transaction, identity) => {
        // Read again: a recovery code that was the proof has given way to another one.
        const stored = (await findSeen(transaction, identity)) as StoredSecondFactor
        const { id: userId } = identity.user
        const { isConfirmed: confirmed } = stored
        return { userId, confirmed, fresh: areCodesNew(stored), codes: secrets.openCodes(userId, stored) }
      })
      caller.record('recovery codes shown', shown)
      return codes
    },
    async replaceRecoveryCodes(caller, proof) {
      const codes = secrets.mintCodes()
      const needsProof = ({ isConfirmed }: StoredSecondFactor) => isConfirmed
      const replaced = await proven(caller, proof, needsProof, async (transaction, { user }, before) => {
        if (before.secret !== null) await storeRecoveryCodes(transaction, user.id, codes, clock())
        return { userId: user.id, confirmed: before.isConfirmed }
      })
      caller.record('recovery codes replaced', replaced)
    },
  }
}

/** The second factor as a session sees it; null for a user who is deleted. */
async function findSeen(
  db: Kysely<Schema>,
  { user, session }: SessionIdentity,
): Promise<StoredSecondFactor | null> {
  const stored = await findSecondFactor(db, user.id)
  if (stored === null || stored.isConfirmed || stored.session === session.id.digest()) return stored
  return { ...stored, secret: null, recoveryCodes: null }
}

/**
 * Runs what may find a proof wrong within the limits for wrong codes, if there is one.
 *
 * @throws {HttpError} 422 when it is wrong, 429 when a limit is used up
 */
async function judged<T>(
  attempts: Attempts,
  caller: Caller,
  proof: SecondFactorProof,
  run: () => Promise<T | 'wrong'>,
): Promise<T> {
  const { id: userId } = caller.sessionCaller().user
  if (proof.code === null && proof.recoveryCode === null) return (await run()) as T
  const account = String(userId)
  await attempts.count(caller, 'two_factor', account)
  const found: (T | 'wrong')[] = []
  const isRight = await attempts.judge(caller, 'two_factor', {
    account,
    userId,
    async verify() {
      const outcome = await run()
      found.push(outcome)
      return outcome !== 'wrong'
    },
  })
  if (isRight) return found[0] as T
  caller.record('wrong code', { userId, cause: proofName(proof) })
  throw wrongProof(proof)
}

/** Makes what changes or shows a user's second factor under the user's lock, with a proof if that is needed. */
const provenWrites =
  (attempts: Attempts, accepts: SecondFactor['accepts']) =>
  <T>(
    caller: Caller,
    proof: SecondFactorProof,
    needsProof: (stored: StoredSecondFactor) => boolean,
    write: Write<T>,
  ): Promise<T> =>
    judged<T>(attempts, caller, proof, () =>
      caller.authorized<T | 'wrong', SessionIdentity>(async (transaction, identity) => {
        const stored = (await findSeen(transaction, identity)) as StoredSecondFactor
        if (needsProof(stored)) {
          if (proof.code === null && proof.recoveryCode === null) {
            throw unprocessable({ code: [MESSAGES.secondFactorProofRequired] })
          }
          if (!(await accepts(transaction, identity.user.id, proof))) return 'wrong'
        }
        return write(transaction, identity, stored)
      }),
    )
