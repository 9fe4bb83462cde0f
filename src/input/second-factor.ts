import { optionalText, requiredText } from './fields.ts'

const EXAMPLE = '123456'

/** A code of the authenticator app. */
export const AppCode = requiredText(EXAMPLE)

/** The fields of a second-factor proof: a code of the authenticator app, or a recovery code. */
export const Proof = { code: optionalText(EXAMPLE), recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL') }

interface ProofFields {
  code?: string | null
  recovery_code?: string | null
}

/** Reads the fields of {@link Proof}. */
export const readProof = ({ code = null, recovery_code: recoveryCode = null }: ProofFields) => ({
  code,
  recoveryCode,
})
