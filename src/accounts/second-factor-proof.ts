import type { Transaction } from 'kysely'
import {
  mintRecoveryCodes,
  mintTotpSecret,
  parseRecoveryCodes,
  spendRecoveryCode,
  totpStep,
} from '#src/auth/second-factor.ts'
import type { Keys } from '#src/config/keys.ts'
import type { Schema } from '#src/database/schema.ts'
import {
  findSecondFactor,
  type StoredSecondFactor,
  storeRecoveryCodes,
  useStep,
} from '#src/database/second-factors.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Log } from '#src/runtime/log.ts'

/** What proves that somebody has the second factor: a code of the authenticator app, or a recovery code. */
export interface SecondFactorProof {
  code: string | null
  recoveryCode: string | null
}

/** 422 for a proof that is not right, said of what was entered. */
export const wrongProof = ({ recoveryCode }: SecondFactorProof) =>
  unprocessable(
    recoveryCode === null ? { code: [MESSAGES.wrongCode] } : { recovery_code: [MESSAGES.wrongRecoveryCode] },
  )

/** What the events of an account call a proof. */
export const proofName = ({ recoveryCode }: SecondFactorProof) =>
  recoveryCode === null ? 'code' : 'recovery code'

/** What {@link createSecondFactorSecrets} works with. */
export interface SecondFactorSecretsDeps {
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  keys: Pick<Keys, 'encryption'>
  log: Pick<Log, 'error'>
}

/** Reads and writes the secrets of second factors, encrypted as Laravel does, and judges proofs by them. */
export function createSecondFactorSecrets({ clock, random, keys, log }: SecondFactorSecretsDeps) {
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

  /** Whether a code is right, and was not used before; it is used then. */
  const acceptsCode = async (
    transaction: Transaction<Schema>,
    userId: number,
    stored: StoredSecondFactor,
    code: string,
  ): Promise<boolean> => {
    const secret = openSecret(userId, stored)
    const step = secret === null ? null : totpStep(secret, code, clock())
    return step !== null && (await useStep(transaction, userId, step))
  }

  /** Whether a proof is right, and was not used before; it is used then. The caller holds the user's lock. */
  const accepts = async (
    transaction: Transaction<Schema>,
    userId: number,
    { code, recoveryCode }: SecondFactorProof,
  ): Promise<boolean> => {
    const stored = await findSecondFactor(transaction, userId)
    if (stored === null) return false
    if (recoveryCode === null) {
      return code !== null && (await acceptsCode(transaction, userId, stored, code))
    }
    const left = spendRecoveryCode(openCodes(userId, stored), recoveryCode, random)
    if (left !== null) await storeRecoveryCodes(transaction, userId, seal(left), null)
    return left !== null
  }

  return {
    openSecret,
    openCodes,
    /** A new secret for an authenticator app, encrypted. */
    mintSecret: () => keys.encryption().encrypt(mintTotpSecret(random)),
    /** New recovery codes, encrypted. */
    mintCodes: () => seal(mintRecoveryCodes(random)),
    acceptsCode,
    accepts,
  }
}
