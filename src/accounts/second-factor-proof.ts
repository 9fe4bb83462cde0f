import type { Transaction } from 'kysely'
import {
  consumeRecoveryCode,
  mintRecoveryCodes,
  mintTotpSecret,
  parseRecoveryCodes,
  totpStep,
} from '#src/auth/second-factor.ts'
import type { Keys } from '#src/config/keys.ts'
import type { Schema } from '#src/database/schema.ts'
import {
  consumeStep,
  findSecondFactor,
  type StoredSecondFactor,
  storeRecoveryCodes,
} from '#src/database/second-factors.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Log } from '#src/runtime/log.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'

/** Proof of the second factor: a code of the authenticator app, or a recovery code. */
export interface SecondFactorProof {
  code: string | null
  recoveryCode: string | null
}

/** Returns a 422 error for a wrong proof, under the field that was entered. */
export const wrongProof = ({ recoveryCode }: SecondFactorProof) =>
  unprocessable(
    recoveryCode === null ? { code: [MESSAGES.wrongCode] } : { recovery_code: [MESSAGES.wrongRecoveryCode] },
  )

/** The name of a proof in account events. */
export const proofName = ({ recoveryCode }: SecondFactorProof) =>
  recoveryCode === null ? 'code' : 'recovery code'

/** Dependencies of {@link createSecondFactorSecrets}. */
export interface SecondFactorSecretsDeps {
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  keys: Pick<Keys, 'encryption'>
  log: Pick<Log, 'error'>
}

/** Reads, writes and verifies the secrets of second factors, which are encrypted as Laravel does. */
export function createSecondFactorSecrets({ clock, random, keys, log }: SecondFactorSecretsDeps) {
  /** Decrypts a column; null when it is empty, or encrypted with an unknown key. */
  const decrypt = (userId: number, column: string, payload: string | null): string | null => {
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
  const decryptSecret = (userId: number, { secret }: StoredSecondFactor) =>
    decrypt(userId, 'two_factor_secret', secret)
  const decryptCodes = (userId: number, { recoveryCodes }: StoredSecondFactor) =>
    parseRecoveryCodes(decrypt(userId, 'two_factor_recovery_codes', recoveryCodes) ?? '[]') ?? []
  const encryptCodes = (codes: readonly string[]) => keys.encryption().encrypt(JSON.stringify(codes))

  /** Whether a code is right and was not used before. A right code is marked as used. */
  const acceptsCode = async (
    transaction: Transaction<Schema>,
    userId: number,
    stored: StoredSecondFactor,
    code: string,
  ): Promise<boolean> => {
    const secret = decryptSecret(userId, stored)
    const step = secret === null ? null : totpStep(secret, code, clock())
    return step !== null && (await consumeStep(transaction, userId, step))
  }

  /**
   * Whether a proof is right and was not used before. A right proof is marked as used. The caller holds the user's
   * lock.
   */
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
    const remaining = consumeRecoveryCode(decryptCodes(userId, stored), recoveryCode, random)
    if (remaining !== null) await storeRecoveryCodes(transaction, userId, encryptCodes(remaining), null)
    return remaining !== null
  }

  return {
    decryptSecret,
    decryptCodes,
    /** A new TOTP secret, encrypted. */
    mintSecret: () => keys.encryption().encrypt(mintTotpSecret(random)),
    /** New recovery codes, encrypted. */
    mintCodes: () => encryptCodes(mintRecoveryCodes(random)),
    acceptsCode,
    accepts,
  }
}
