import { optionalText } from './fields.ts'

/** An optional code of the authenticator app. */
export const AppCode = optionalText('123456')

/** The fields of a second-factor proof: a code of the authenticator app, or a recovery code. */
export const Proof = { code: AppCode, recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL') }

interface ProofFields {
  code?: string | null
  recovery_code?: string | null
}

/** Reads the fields of {@link Proof}. */
export const readProof = ({ code = null, recovery_code: recoveryCode = null }: ProofFields) => ({
  code,
  recoveryCode,
})
