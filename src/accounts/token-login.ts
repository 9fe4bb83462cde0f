import type { Kysely, Transaction } from 'kysely'
import type { Identities } from '#src/database/identities.ts'
import { noteLogin } from '#src/database/login-addresses.ts'
import { withLoginLock } from '#src/database/logins.ts'
import type { Schema } from '#src/database/schema.ts'
import type { Credentials } from '#src/database/users.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import type { PasswordCredentials } from './credentials.ts'
import type { Grantor, LoginAuthority } from './grantor.ts'
import { requireNotBanned, wrongCredentials } from './login-check.ts'
import type { SecondFactor } from './second-factor.ts'
import { proofName, type SecondFactorProof, wrongProof } from './second-factor-proof.ts'
import type { WantedToken } from './token-bounds.ts'
import type { IssuedToken, Tokens } from './tokens.ts'

/** What a program enters for a token. */
export interface EnteredTokenLogin {
  email: string
  password: string
  proof: SecondFactorProof
  wanted: WantedToken
}

/** Logs a program in by password: for applications that have no browser, such as those on phones. */
export interface TokenLogin {
  /**
   * Issues a token for an account, with the limits, events and mails of a login.
   *
   * @throws {HttpError} 422 for a wrong password or code, a code that is missing, a user who is banned from everything,
   *   and input that is not valid; 403 for an unverified e-mail address and for too many tokens; 429 when a limit is
   *   used up
   */
  issue(caller: Caller, entered: EnteredTokenLogin): Promise<IssuedToken>
}

/** Dependencies of {@link createTokenLogin}. */
export interface TokenLoginDeps {
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  identities: Pick<Identities, 'within'>
  attempts: Attempts
  credentials: PasswordCredentials
  secondFactor: Pick<SecondFactor, 'accepts'>
  tokens: Pick<Tokens, 'issue'>
}

const { rules } = MESSAGES

const isMissing = ({ code, recoveryCode }: SecondFactorProof) => code === null && recoveryCode === null

const NO_PROOF: SecondFactorProof = { code: null, recoveryCode: null }

const codeRequired = () => unprocessable({ code: [rules.required('code')] })

/** Creates the {@link TokenLogin} of a server. */
export function createTokenLogin(deps: TokenLoginDeps): TokenLogin {
  const { kysely, clock, identities, attempts, credentials, secondFactor, tokens } = deps

  /** Whether the proof of an account that has a second factor is right. It is used up with the transaction. */
  const accepts = async (
    transaction: Transaction<Schema>,
    current: Credentials,
    proof: SecondFactorProof,
  ) => {
    if (!current.hasSecondFactor) return true
    if (isMissing(proof)) throw codeRequired()
    return secondFactor.accepts(transaction, current.userId, proof)
  }

  /**
   * Creates the grantor of the token: a user whose credentials were verified, and are checked again under the user's lock.
   *
   * @throws {WrongProof} for a wrong code
   */
  const grantorOf = (
    caller: Caller,
    verified: Credentials,
    proof: SecondFactorProof,
  ): Grantor<LoginAuthority> => ({
    record: (event, details) => caller.record(event, details),
    authorized: write =>
      withLoginLock(kysely, { userId: verified.userId, presented: null }, async (transaction, current) => {
        if (current?.password !== verified.password) throw wrongCredentials()
        if (!(await accepts(transaction, current, proof))) throw new WrongProof()
        const within = identities.within(transaction)
        await requireNotBanned(within, current.userId)
        const user = await within.user(current.userId)
        if (user === null) throw wrongCredentials()
        await noteLogin(transaction, current.userId, caller.clientAddress.key, clock())
        return write(transaction, { via: 'login', user: user.user })
      }),
  })

  /** Issues the token within the limit of wrong codes. */
  const issueWithCode = async (
    caller: Caller,
    userId: number,
    proof: SecondFactorProof,
    issue: () => Promise<IssuedToken>,
  ) => {
    if (isMissing(proof)) throw codeRequired()
    const account = String(userId)
    await attempts.count(caller, 'two_factor', account)
    let issued: IssuedToken | null = null
    await attempts.verifySecret(caller, 'two_factor', {
      account,
      userId,
      async verify() {
        issued = await issue().catch(error => {
          if (error instanceof WrongProof) return null
          throw error
        })
        return issued !== null
      },
    })
    if (issued !== null) return issued as IssuedToken
    caller.record('wrong code', { userId, cause: proofName(proof) })
    throw wrongProof(proof)
  }

  return {
    async issue(caller, { email, password, proof, wanted }) {
      const verified = await credentials.check(caller, { email, password, as: 'login' })
      if (verified === null) throw wrongCredentials()
      const { userId, hasSecondFactor } = verified
      // A second factor that was confirmed meanwhile is not tried without its limit.
      const used = hasSecondFactor ? proof : NO_PROOF
      const issue = () => tokens.issue(grantorOf(caller, verified, used), wanted)
      const issued = hasSecondFactor ? await issueWithCode(caller, userId, proof, issue) : await issue()
      const cause = hasSecondFactor ? proofName(proof) : 'password'
      caller.record('login', { userId, cause, tokenId: issued.id })
      return issued
    },
  }
}

/** The code of a second factor was wrong. */
class WrongProof extends Error {
  override readonly name = 'WrongProof'
}
