import { optionalText } from './account.ts'

/** A code of the authenticator app, which may be missing. */
export const AppCode = optionalText('123456')

/** A code of the authenticator app, or a recovery code, for what weakens a confirmed second factor. */
export const Proof = { code: AppCode, recovery_code: optionalText('FbeNR0JtHA-mpIgLYOQiL') }

interface ProofFields {
  code?: string | null
  recovery_code?: string | null
}

/** The proof in the fields of {@link Proof}. */
export const proofOf = ({ code = null, recovery_code: recoveryCode = null }: ProofFields) => ({
  code,
  recoveryCode,
})
