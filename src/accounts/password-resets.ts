import type { Kysely } from 'kysely'
import { isEmail } from '#src/auth/email.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { hashResetToken, mintResetToken, ResetToken } from '#src/auth/reset-token.ts'
import { randomAlphanumerics } from '#src/auth/secret.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { findResetToken, storeResetTokenIfDue } from '#src/database/password-resets.ts'
import { resetPassword } from '#src/database/passwords.ts'
import { completeRegistration, findRegistration } from '#src/database/registrations.ts'
import type { Schema } from '#src/database/schema.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { type Account, findUserByEmail } from '#src/database/users.ts'
import { errorsByField, MAX_NAME, parseEmail, validateEmail } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import type { PasswordScreening } from '#src/screening/new-passwords.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import type { PasswordCredentials } from './credentials.ts'

type Entered = string | null | undefined

/** A new password, with the token of the mail that allows it. */
export interface EnteredReset {
  token: Entered
  email: Entered
  password: Entered
  repeated: Entered
  revokeTokens: boolean
}

/** Resets of forgotten passwords, on the website and in the panel. */
export interface PasswordResets {
  /**
   * Mails a password reset link to the account of an address, once a minute at most.
   *
   * @param options.page the URL that the link opens, with the token as `?token=`
   * @param options.reveals whether the response may reveal that there is no such account or that a link was just sent
   * @throws {HttpError} 422 for a malformed address, and for what may be revealed; 429 when the limit is used up
   */
  request(caller: Caller, options: { email: Entered; page: URL; reveals: boolean }): Promise<void>
  /**
   * Sets a new password by the token of a mail. All sessions and remembered devices of the user end. The token of a
   * registration creates the account.
   *
   * @throws {HttpError} 422 for a wrong token and for an unacceptable password; 429 when the limit is used up
   */
  complete(caller: Caller, entered: EnteredReset): Promise<void>
}

/** Dependencies of {@link createPasswordResets}. */
export interface PasswordResetsDeps {
  config: Pick<Config, 'revealUnknownEmail' | 'tokenableTypes'>
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  attempts: Attempts
  credentials: PasswordCredentials
  mail: UserMailer
  screening: { passwords: PasswordScreening }
}

/** Creates the {@link PasswordResets} of a server. */
export const createPasswordResets = (deps: PasswordResetsDeps): PasswordResets => ({
  request: createResetRequest(deps),
  complete: createResetCompletion(deps),
})

/** Creates {@link PasswordResets.request}. */
function createResetRequest({
  kysely,
  clock,
  random,
  attempts,
  mail,
}: PasswordResetsDeps): PasswordResets['request'] {
  /** Sends a link and returns true, unless one was sent within the last minute, which stays valid. */
  const sendLink = async (user: Account, page: URL): Promise<boolean> => {
    if (!(await mail.mayReceive('passwordReset', user.email))) return false
    const token = mintResetToken(random)
    const isKept = await storeResetTokenIfDue(kysely, {
      email: user.email,
      token: await hashResetToken(token),
      now: clock(),
    })
    if (!isKept) return false
    await mail.sendPasswordReset(user, tokenLink(page, token))
    return true
  }

  return async (caller, { email: entered, page, reveals }) => {
    const email = parseEmail(entered)
    await attempts.count(caller, 'forgot_password', accountKey(email ?? ''))
    if (email === null || !isEmail(email)) throw unprocessable({ email: validateEmail(email) })

    const requestReset = async (): Promise<'sent' | 'unknown' | 'throttled'> => {
      // By the exact address: two accounts may have forms of one address.
      const user = await findUserByEmail(kysely, entered as string)
      const isSent = user !== null && (await sendLink(user, page))
      const outcome = user === null ? 'unknown' : isSent ? 'sent' : 'throttled'
      caller.record('password reset asked for', { userId: user?.id ?? null, cause: outcome })
      return outcome
    }
    // All work that depends on the account runs after the response, so that its time reveals nothing.
    if (!reveals) return caller.afterResponse(requestReset, 'a password reset link could not be sent')
    const outcome = await requestReset()
    if (outcome === 'unknown') throw unprocessable({ email: [MESSAGES.unknownEmail] })
    if (outcome === 'throttled') throw unprocessable({ email: [MESSAGES.resetThrottled] })
  }
}

/** Validated input of a reset. */
interface ValidReset {
  token: string
  /** The canonical address, and the address as entered. */
  email: string
  exactEmail: string
  password: string
}

/** Creates {@link PasswordResets.complete}. */
function createResetCompletion(deps: PasswordResetsDeps): PasswordResets['complete'] {
  const { config, kysely, clock, attempts, credentials, screening } = deps

  /** @throws {HttpError} 422 for input that is not valid */
  const validate = async ({
    token,
    email: entered,
    password,
    repeated,
  }: EnteredReset): Promise<ValidReset> => {
    const email = parseEmail(entered)
    const errors = errorsByField({
      token: token == null ? [MESSAGES.rules.required('token')] : [],
      email: email === null || !isEmail(email) ? validateEmail(email) : [],
      password: await screening.passwords.errors(password, repeated, { email }),
    })
    if (errors !== null) throw unprocessable(errors)
    return {
      token: token as string,
      email: email as string,
      exactEmail: entered as string,
      password: password as string,
    }
  }

  return async (caller, entered) => {
    await attempts.count(caller, 'reset_password', accountKey(parseEmail(entered.email) ?? ''))
    const reset = await validate(entered)
    const { user, stored, registration, key } = await findOwner(deps, caller, reset)
    // Compared with the user's name after the token was verified: before, it would reveal whether a user has that
    // name.
    const owner = user ?? { email: reset.email, name: registration?.name }
    const ownerErrors = errorsByField({ password: screening.passwords.ownerErrors(reset.password, owner) })
    if (ownerErrors !== null) throw unprocessable(ownerErrors)

    const hash = await credentials.hash(caller, reset.password)
    if (user === null || stored === null) return finishRegistration(deps, caller, { ...key, hash })
    const resetResult = await resetPassword(kysely, user, {
      token: stored,
      hash,
      revokeTokens: entered.revokeTokens,
      types: config.tokenableTypes,
      address: caller.clientAddress.key,
      now: clock(),
    })
    if (resetResult === null) throw wrongToken()
    caller.record('password reset', { userId: user.id, ...resetResult })
  }
}

/**
 * Finds the owner of a token: a user by the stored hash, or a registration.
 *
 * @throws {HttpError} 422 for a wrong token
 */
async function findOwner(
  { config, kysely, clock, credentials }: PasswordResetsDeps,
  caller: Caller,
  { token, email, exactEmail }: ValidReset,
) {
  const user = await findUserByEmail(kysely, exactEmail)
  const stored = user && (await findResetToken(kysely, user.email, clock()))
  // Without a user the token may belong to a registration.
  const key = { email, digest: new ResetToken(token).digest() }
  const registration = user === null ? await findRegistration(kysely, key, clock()) : null
  if (user === null && registration === null && config.revealUnknownEmail)
    throw unprocessable({ email: [MESSAGES.unknownEmail] })
  const isRight = await credentials.verifyResetToken(caller, token, stored)
  if (!isRight && registration === null) throw wrongToken()
  return { user, stored, registration, key }
}

/**
 * Creates the account of a registration.
 *
 * @throws {HttpError} 422 when the registration has ended meanwhile
 */
async function finishRegistration(
  { config, kysely, clock, random }: PasswordResetsDeps,
  caller: Caller,
  registration: { email: string; digest: ReturnType<ResetToken['digest']>; hash: PasswordHash },
): Promise<void> {
  const userId = await completeRegistration(kysely, {
    ...registration,
    alternativeName: withSuffix(random),
    types: config.tokenableTypes,
    address: caller.clientAddress.key,
    now: clock(),
  }).catch(error => {
    throw error instanceof UserExists ? wrongToken() : error
  })
  if (userId === null) throw wrongToken()
  caller.record('registered', { userId })
}

const wrongToken = () => unprocessable({ email: [MESSAGES.wrongResetToken] })

/** Creates the function that makes a taken name unique: its beginning, and a random suffix. */
const withSuffix = (random: (size: Bytes) => Buffer) => (name: string) =>
  `${[...name].slice(0, MAX_NAME - 9).join('')}-${randomAlphanumerics(8, random)}`
