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
import type { Millis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import {
  createSecondFactorSecrets,
  proofName,
  type SecondFactorProof,
  type SecondFactorSecretsDeps,
  wrongProof,
} from './second-factor-proof.ts'

export type SecondFactorState =
  | { status: 'none' | 'unconfirmed' }
  | {
      status: 'confirmed'
      /** When it was confirmed. */
      since: string | null
      /** Whether the recovery codes are shown without a proof, because they were created a few minutes ago. */
      showsCodes: boolean
    }

/**
 * A user's own second factor. Disabling or replacing a confirmed one, and reading or replacing its recovery codes,
 * needs a proof of it besides the confirmed password, so that a stolen session and password are not enough. An
 * unconfirmed one belongs to the session that created it and is invisible to all others. So a user cannot confirm a
 * second factor whose secret another session knows.
 *
 * All methods throw {HttpError} 422 for a proof that is missing or wrong, 429 when a limit is used up, and as {@link
 * Caller.authorized}.
 */
export interface SecondFactor {
  state(caller: Caller): Promise<SecondFactorState>
  /** The secret that waits for confirmation; null for none. */
  pendingSecret(caller: Caller): Promise<string | null>
  /** Creates an unconfirmed second factor. An existing one is replaced only if `isForced`. */
  enable(caller: Caller, options: { isForced: boolean; proof: SecondFactorProof }): Promise<void>
  /** Confirms the second factor by a code of the app, so that logins require it, and ends all other sessions. */
  confirm(caller: Caller, code: string | null): Promise<void>
  /** Removes the second factor. */
  disable(caller: Caller, proof: SecondFactorProof): Promise<void>
  /** Returns the recovery codes. */
  recoveryCodes(caller: Caller, proof: SecondFactorProof): Promise<string[]>
  /** Replaces the recovery codes by new ones. */
  replaceRecoveryCodes(caller: Caller, proof: SecondFactorProof): Promise<void>
  /**
   * Whether a proof is right and was not used before. A right proof is marked as used. The caller holds the user's
   * lock.
   */
  accepts(transaction: Transaction<Schema>, userId: number, proof: SecondFactorProof): Promise<boolean>
}

/** Dependencies of {@link createSecondFactor}. */
export interface SecondFactorDeps extends SecondFactorSecretsDeps {
  config: Pick<Config, 'twoFactorDisableNeedsCode'>
  kysely: Kysely<Schema>
  attempts: Attempts
}

/** A write to a second factor under its user's lock. */
type Write<T> = (
  transaction: Transaction<Schema>,
  identity: SessionIdentity,
  stored: StoredSecondFactor,
) => Promise<T>

/** How long new recovery codes are shown without a proof. */
const SHOWN_MS: Millis = 10 * MINUTE_MS

/** Creates the {@link SecondFactor} of a server. */
export function createSecondFactor({ config, kysely, attempts, ...deps }: SecondFactorDeps): SecondFactor {
  const { clock } = deps
  const secrets = createSecondFactorSecrets(deps)
  const writeWithProof = createProvenWrite(attempts, secrets.accepts)

  const areCodesNew = ({ recoveryCodesMadeAt: madeAt }: StoredSecondFactor) =>
    madeAt !== null && clock() - madeAt <= SHOWN_MS

  return {
    accepts: secrets.accepts,
    async state(caller) {
      const stored = await findVisible(kysely, caller.sessionCaller())
      if (stored === null || stored.secret === null) return { status: 'none' }
      if (!stored.isConfirmed) return { status: 'unconfirmed' }
      return { status: 'confirmed', since: stored.confirmedAt, showsCodes: areCodesNew(stored) }
    },
    async pendingSecret(caller) {
      const identity = caller.sessionCaller()
      const stored = await findVisible(kysely, identity)
      return stored === null || stored.isConfirmed ? null : secrets.decryptSecret(identity.user.id, stored)
    },
    async enable(caller, { isForced, proof }) {
      const made = { secret: secrets.mintSecret(), recoveryCodes: secrets.mintCodes() }
      const needsProof = ({ isConfirmed }: StoredSecondFactor) => isConfirmed && isForced
      const replaced = await writeWithProof(
        caller,
        proof,
        needsProof,
        async (transaction, identity, previous) => {
          if (previous.secret !== null && !isForced) return null
          const { user, session } = identity
          await storeSecondFactor(transaction, user.id, {
            ...made,
            session: session.id.digest(),
            now: clock(),
          })
          return { userId: user.id, confirmed: previous.isConfirmed }
        },
      )
      if (replaced !== null) caller.record('second factor enabled', replaced)
    },
    async confirm(caller, code) {
      const proof = { code, recoveryCode: null }
      if (code === null) throw wrongProof(proof)
      const userId = await withinCodeLimits(attempts, caller, proof, () =>
        caller.authorized<number | null | 'wrong', SessionIdentity>(async (transaction, identity) => {
          const { user, session } = identity
          const stored = (await findVisible(transaction, identity)) as StoredSecondFactor
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
      const removed = await writeWithProof(
        caller,
        proof,
        needsProof,
        async (transaction, { user }, before) =>
          (await removeSecondFactor(transaction, user.id, clock()))
            ? { userId: user.id, confirmed: before.isConfirmed }
            : null,
      )
      if (removed !== null) caller.record('second factor removed', removed)
    },
    async recoveryCodes(caller, proof) {
      const needsProof = (stored: StoredSecondFactor) => stored.isConfirmed && !areCodesNew(stored)
      const { codes, ...shown } = await writeWithProof(
        caller,
        proof,
        needsProof,
        async (transaction, identity) => {
          // Read again: a recovery code that served as the proof was replaced.
          const stored = (await findVisible(transaction, identity)) as StoredSecondFactor
          const { id: userId } = identity.user
          const { isConfirmed: confirmed } = stored
          return {
            userId,
            confirmed,
            fresh: areCodesNew(stored),
            codes: secrets.decryptCodes(userId, stored),
          }
        },
      )
      caller.record('recovery codes shown', shown)
      return codes
    },
    async replaceRecoveryCodes(caller, proof) {
      const codes = secrets.mintCodes()
      const needsProof = ({ isConfirmed }: StoredSecondFactor) => isConfirmed
      const replaced = await writeWithProof(
        caller,
        proof,
        needsProof,
        async (transaction, { user }, before) => {
          if (before.secret !== null) await storeRecoveryCodes(transaction, user.id, codes, clock())
          return { userId: user.id, confirmed: before.isConfirmed }
        },
      )
      caller.record('recovery codes replaced', replaced)
    },
  }
}

/** Finds the second factor that a session may see; null for a deleted user. */
async function findVisible(
  db: Kysely<Schema>,
  { user, session }: SessionIdentity,
): Promise<StoredSecondFactor | null> {
  const stored = await findSecondFactor(db, user.id)
  if (stored === null || stored.isConfirmed || stored.session === session.id.digest()) return stored
  return { ...stored, secret: null, recoveryCodes: null }
}

/**
 * Runs an operation that verifies the proof, within the attempt limits of codes. Without a proof it is not limited.
 *
 * @throws {HttpError} 422 when the proof is wrong, 429 when a limit is used up
 */
async function withinCodeLimits<T>(
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
  const isRight = await attempts.verifySecret(caller, 'two_factor', {
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

/**
 * Creates the function that reads or writes a user's second factor under the user's lock, with a proof if one is
 * needed.
 */
const createProvenWrite =
  (attempts: Attempts, accepts: SecondFactor['accepts']) =>
  <T>(
    caller: Caller,
    proof: SecondFactorProof,
    needsProof: (stored: StoredSecondFactor) => boolean,
    write: Write<T>,
  ): Promise<T> =>
    withinCodeLimits<T>(attempts, caller, proof, () =>
      caller.authorized<T | 'wrong', SessionIdentity>(async (transaction, identity) => {
        const stored = (await findVisible(transaction, identity)) as StoredSecondFactor
        if (needsProof(stored)) {
          if (proof.code === null && proof.recoveryCode === null) {
            throw unprocessable({ code: [MESSAGES.secondFactorProofRequired] })
          }
          if (!(await accepts(transaction, identity.user.id, proof))) return 'wrong'
        }
        return write(transaction, identity, stored)
      }),
    )
