import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Kysely, Transaction } from 'kysely'
import { unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import {
  mintRecoveryCodes,
  mintTotpSecret,
  parseRecoveryCodes,
  spendRecoveryCode,
  totpStep,
} from '#src/auth/second-factor.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Schema } from '#src/database/schema.ts'
import {
  confirmSecondFactor,
  findSecondFactor,
  removeSecondFactor,
  type StoredSecondFactor,
  storeRecoveryCodes,
  storeSecondFactor,
  useStep,
} from '#src/database/second-factors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    secondFactor: SecondFactor
  }
}

/** What proves that somebody has the second factor: a code of the authenticator app, or a recovery code. */
export interface SecondFactorProof {
  code: string | null
  recoveryCode: string | null
}

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
 * `request.authorized`.
 */
interface SecondFactor {
  /** Whether there is one, and whether it is asked for. */
  state(identity: SessionIdentity): Promise<SecondFactorState>
  /** The secret that waits to be confirmed; null for none, and once it is confirmed. */
  pendingSecret(identity: SessionIdentity): Promise<string | null>
  /** Makes a new one, which has to be confirmed, unless there is one that is not to be replaced. */
  enable(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { isForced: boolean; proof: SecondFactorProof },
  ): Promise<void>
  /** Has it asked for from now on, after a code that shows that the app knows the secret. Ends all other sessions. */
  confirm(request: FastifyRequest, reply: FastifyReply, code: string | null): Promise<void>
  /** Takes it away. */
  disable(request: FastifyRequest, reply: FastifyReply, proof: SecondFactorProof): Promise<void>
  /** Shows the recovery codes. */
  recoveryCodes(request: FastifyRequest, reply: FastifyReply, proof: SecondFactorProof): Promise<string[]>
  /** Makes new recovery codes in the place of those that are there. */
  replaceRecoveryCodes(request: FastifyRequest, reply: FastifyReply, proof: SecondFactorProof): Promise<void>
  /** Whether a proof is right, and was not used before; it is used then. The caller holds the user's lock. */
  accepts(transaction: Transaction<Schema>, userId: number, proof: SecondFactorProof): Promise<boolean>
}

/** For how long recovery codes are shown without a proof after they were made, in milliseconds. */
const SHOWN_MS = 10 * MINUTE_MS

/** Adds `app.secondFactor`, which keeps its secrets encrypted as Laravel does. */
export default fp(
  async app => {
    const { clock, config, random, log, keys } = app
    const { kysely } = app.database

    /** A column's text; null for none, and for one that no key of ours opens. */
    const open = (userId: number, column: string, payload: string | null): string | null => {
      if (payload === null) return null
      const text = keys.encryption().decrypt(payload)
      if (text === null) {
        log.error(
          { userId, column },
          'a second factor cannot be read: was the key with which it was written left out of APP_PREVIOUS_KEYS?',
        )
      }
      return text
    }
    const openSecret = (userId: number, { secret }: StoredSecondFactor) =>
      open(userId, 'two_factor_secret', secret)
    const openCodes = (userId: number, { recoveryCodes }: StoredSecondFactor) =>
      parseRecoveryCodes(open(userId, 'two_factor_recovery_codes', recoveryCodes) ?? '[]') ?? []
    const seal = (codes: readonly string[]) => keys.encryption().encrypt(JSON.stringify(codes))

    const areCodesNew = ({ recoveryCodesMadeAt: madeAt }: StoredSecondFactor) =>
      madeAt !== null && clock() - madeAt <= SHOWN_MS

    /** The second factor as a session sees it; null for a user who is deleted. */
    const findSeen = async (db: Kysely<Schema>, { user, session }: SessionIdentity) => {
      const stored = await findSecondFactor(db, user.id)
      if (stored === null || stored.isConfirmed || stored.session === session.id.digest()) return stored
      return { ...stored, secret: null, recoveryCodes: null }
    }

    const acceptsCode = async (
      transaction: Transaction<Schema>,
      userId: number,
      stored: StoredSecondFactor,
      code: string,
    ) => {
      const secret = openSecret(userId, stored)
      const step = secret === null ? null : totpStep(secret, code, clock())
      return step !== null && (await useStep(transaction, userId, step))
    }

    const accepts: SecondFactor['accepts'] = async (transaction, userId, { code, recoveryCode }) => {
      const stored = await findSecondFactor(transaction, userId)
      if (stored === null) return false
      if (recoveryCode === null) {
        return code !== null && (await acceptsCode(transaction, userId, stored, code))
      }
      const left = spendRecoveryCode(openCodes(userId, stored), recoveryCode, random)
      if (left !== null) await storeRecoveryCodes(transaction, userId, seal(left), null)
      return left !== null
    }

    /** Runs what may find a proof wrong within the limits for wrong codes, if there is one. */
    const limited = async <T>(
      request: FastifyRequest,
      reply: FastifyReply,
      { code, recoveryCode }: SecondFactorProof,
      run: () => Promise<T | 'wrong'>,
    ): Promise<T> => {
      const { id: userId } = (request.identity as SessionIdentity).user
      if (code === null && recoveryCode === null) return (await run()) as T
      const account = String(userId)
      await app.attempts.count(request, reply, 'two_factor', account)
      const found: (T | 'wrong')[] = []
      const isRight = await app.attempts.judge(request, 'two_factor', {
        account,
        userId,
        async verify() {
          const outcome = await run()
          found.push(outcome)
          return outcome !== 'wrong'
        },
      })
      if (isRight) return found[0] as T
      request.record('wrong code', { userId, cause: recoveryCode === null ? 'code' : 'recovery code' })
      throw unprocessable(
        recoveryCode === null
          ? { code: [MESSAGES.wrongCode] }
          : { recovery_code: [MESSAGES.wrongRecoveryCode] },
      )
    }

    /** Changes or shows a user's second factor under the user's lock, with a proof if that is needed. */
    const proven = <T>(
      request: FastifyRequest,
      reply: FastifyReply,
      proof: SecondFactorProof,
      needsProof: (stored: StoredSecondFactor) => boolean,
      write: (
        transaction: Transaction<Schema>,
        identity: SessionIdentity,
        stored: StoredSecondFactor,
      ) => Promise<T>,
    ) =>
      limited<T>(request, reply, proof, () =>
        request.authorized<T | 'wrong', SessionIdentity>(async (transaction, identity) => {
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

    app.decorate('secondFactor', {
      accepts,
      async state(identity) {
        const stored = await findSeen(kysely, identity)
        if (stored === null || stored.secret === null) return { status: 'none' }
        if (!stored.isConfirmed) return { status: 'unconfirmed' }
        return { status: 'confirmed', since: stored.confirmedAt, showsCodes: areCodesNew(stored) }
      },
      async pendingSecret(identity) {
        const stored = await findSeen(kysely, identity)
        return stored === null || stored.isConfirmed ? null : openSecret(identity.user.id, stored)
      },
      async enable(request, reply, { isForced, proof }) {
        const secret = keys.encryption().encrypt(mintTotpSecret(random))
        const recoveryCodes = seal(mintRecoveryCodes(random))
        const replaced = await proven(
          request,
          reply,
          proof,
          ({ isConfirmed }) => isConfirmed && isForced,
          async (transaction, { user, session }, before) => {
            if (before.secret !== null && !isForced) return null
            const made = { secret, recoveryCodes, session: session.id.digest(), now: clock() }
            await storeSecondFactor(transaction, user.id, made)
            return { user, wasConfirmed: before.isConfirmed }
          },
        )
        if (replaced === null) return
        const { user, wasConfirmed } = replaced
        request.record('second factor enabled', { userId: user.id, confirmed: wasConfirmed })
      },
      async confirm(request, reply, code) {
        if (code === null) throw unprocessable({ code: [MESSAGES.wrongCode] })
        const userId = await limited(request, reply, { code, recoveryCode: null }, () =>
          request.authorized<number | null | 'wrong', SessionIdentity>(async (transaction, identity) => {
            const { user, session } = identity
            const stored = (await findSeen(transaction, identity)) as StoredSecondFactor
            if (!(await acceptsCode(transaction, user.id, stored, code))) return 'wrong'
            if (stored.isConfirmed) return null
            await confirmSecondFactor(transaction, user.id, { session: session.id.digest(), now: clock() })
            return user.id
          }),
        )
        if (userId !== null) request.record('second factor confirmed', { userId })
      },
      async disable(request, reply, proof) {
        const removed = await proven(
          request,
          reply,
          proof,
          ({ isConfirmed }) => isConfirmed && config.twoFactorDisableNeedsCode,
          async (transaction, { user }, before) =>
            (await removeSecondFactor(transaction, user.id, clock()))
              ? { user, wasConfirmed: before.isConfirmed }
              : null,
        )
        if (removed === null) return
        const { user, wasConfirmed } = removed
        request.record('second factor removed', { userId: user.id, confirmed: wasConfirmed })
      },
      async recoveryCodes(request, reply, proof) {
        const { codes, ...shown } = await proven(
          request,
          reply,
          proof,
          stored => stored.isConfirmed && !areCodesNew(stored),
          async (transaction, identity) => {
            // Read again: a recovery code that was the proof has given way to another one.
            const stored = (await findSeen(transaction, identity)) as StoredSecondFactor
            const { id: userId } = identity.user
            const { isConfirmed: confirmed } = stored
            return { userId, confirmed, fresh: areCodesNew(stored), codes: openCodes(userId, stored) }
          },
        )
        request.record('recovery codes shown', shown)
        return codes
      },
      async replaceRecoveryCodes(request, reply, proof) {
        const codes = seal(mintRecoveryCodes(random))
        const replaced = await proven(
          request,
          reply,
          proof,
          ({ isConfirmed }) => isConfirmed,
          async (transaction, { user }, { secret, isConfirmed: confirmed }) => {
            if (secret !== null) await storeRecoveryCodes(transaction, user.id, codes, clock())
            return { userId: user.id, confirmed }
          },
        )
        request.record('recovery codes replaced', replaced)
      },
    })
  },
  { name: 'second-factor', dependencies: ['attempts', 'authority', 'events', 'keys'] },
)
