import type { Kysely } from 'kysely'
import { isEmail } from '#src/auth/email.ts'
import type { PasswordHash } from '#src/auth/password.ts'
import { hashResetToken, mintResetToken, ResetToken } from '#src/auth/reset-token.ts'
import { randomAlphanumerics } from '#src/auth/secret.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { findResetToken, keepResetToken } from '#src/database/password-resets.ts'
import { resetPassword } from '#src/database/passwords.ts'
import { completeRegistration, findRegistration } from '#src/database/registrations.ts'
import type { Schema } from '#src/database/schema.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { type Account, findUserByEmail } from '#src/database/users.ts'
import { emailErrors, enteredEmail, errorsByField, MAX_NAME } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
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

/** What users do who have forgotten their passwords, on the website and in the panel. */
export interface PasswordResets {
  /**
   * Sends a link to a new password if there is an account with an address, once a minute at most.
   *
   * @param asked.page where the link leads, with the token as `?token=`
   * @param asked.reveals whether it may be told that there is no such account, or that it was asked for just now
   * @throws {HttpError} 422 for what is no address, and for what may be told; 429 when the limit is used up
   */
  request(caller: Caller, asked: { email: Entered; page: URL; reveals: boolean }): Promise<void>
  /**
   * Gives a user a new password with the token of a mail, which ends all of the user's sessions and remembered
   * browsers. With that of a registration it makes the account.
   *
   * @throws {HttpError} 422 for a wrong token and for a password that nobody can have; 429 when the limit is used up
   */
  complete(caller: Caller, entered: EnteredReset): Promise<void>
}

/** What {@link createPasswordResets} works with. */
export interface PasswordResetsDeps {
  config: Pick<Config, 'revealUnknownEmail' | 'tokenableTypes'>
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  attempts: Attempts
  credentials: PasswordCredentials
  mail: UserMailer
  screening: { passwords: PasswordScreening }
}

/** Makes the {@link PasswordResets} of a server. */
export const createPasswordResets = (deps: PasswordResetsDeps): PasswordResets => ({
  request: requestingResets(deps),
  complete: completingResets(deps),
})

/** Makes {@link PasswordResets.request}. */
function requestingResets({
  kysely,
  clock,
  random,
  attempts,
  mail,
}: PasswordResetsDeps): PasswordResets['request'] {
  /** Sends a link, and says whether: not within a minute of the last one, which stays good. */
  const sendLink = async (user: Account, page: URL): Promise<boolean> => {
    if (!(await mail.mayReceive('passwordReset', user.email))) return false
    const token = mintResetToken(random)
    const isKept = await keepResetToken(kysely, {
      email: user.email,
      token: await hashResetToken(token),
      now: clock(),
    })
    if (!isKept) return false
    await mail.sendPasswordReset(user, tokenLink(page, token))
    return true
  }

  return async (caller, { email: entered, page, reveals }) => {
    const email = enteredEmail(entered)
    await attempts.count(caller, 'forgot_password', accountKey(email ?? ''))
    if (email === null || !isEmail(email)) throw unprocessable({ email: emailErrors(email) })

    const work = async (): Promise<'sent' | 'unknown' | 'throttled'> => {
      // As it was entered: of two accounts with forms of one address, each has its own.
      const user = await findUserByEmail(kysely, entered as string)
      const isSent = user !== null && (await sendLink(user, page))
      const outcome = user === null ? 'unknown' : isSent ? 'sent' : 'throttled'
      caller.record('password reset asked for', { userId: user?.id ?? null, cause: outcome })
      return outcome
    }
    // Nothing that depends on the account happens before the answer: so it takes no time that could be told apart.
    if (!reveals) return caller.afterAnswer(work, 'a link to a new password could not be sent')
    const outcome = await work()
    if (outcome === 'unknown') throw unprocessable({ email: [MESSAGES.unknownEmail] })
    if (outcome === 'throttled') throw unprocessable({ email: [MESSAGES.resetThrottled] })
  }
}

/** What was entered, once it is known that it can be anybody's. */
interface ValidReset {
  token: string
  /** The address as it is kept, and as it was entered. */
  email: string
  exactEmail: string
  password: string
}

/** Makes {@link PasswordResets.complete}. */
function completingResets(deps: PasswordResetsDeps): PasswordResets['complete'] {
  const { config, kysely, clock, attempts, credentials, screening } = deps

  /** @throws {HttpError} 422 for what can be nobody's */
  const validated = async ({
    token,
    email: entered,
    password,
    repeated,
  }: EnteredReset): Promise<ValidReset> => {
    const email = enteredEmail(entered)
    const errors = errorsByField({
      token: token == null ? [MESSAGES.rules.required('token')] : [],
      email: email === null || !isEmail(email) ? emailErrors(email) : [],
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
    await attempts.count(caller, 'reset_password', accountKey(enteredEmail(entered.email) ?? ''))
    const reset = await validated(entered)
    const { user, stored, registration, key } = await findOwner(deps, caller, reset)
    // Compared with the user's name only now: without the token it would tell whether there is one with that name.
    const owner = user ?? { email: reset.email, name: registration?.name }
    const ofOwner = errorsByField({ password: screening.passwords.ownerErrors(reset.password, owner) })
    if (ofOwner !== null) throw unprocessable(ofOwner)

    const hash = await credentials.hash(caller, reset.password)
    if (user === null || stored === null) return finishRegistration(deps, caller, { ...key, hash })
    const done = await resetPassword(kysely, user, {
      token: stored,
      hash,
      revokeTokens: entered.revokeTokens,
      types: config.tokenableTypes,
      address: caller.clientAddress.key,
      now: clock(),
    })
    if (done === null) throw wrongToken()
    caller.record('password reset', { userId: user.id, ...done })
  }
}

/**
 * Finds whose a token is: a user's with the stored hash, or a registration's.
 *
 * @throws {HttpError} 422 when it is nobody's
 */
async function findOwner(
  { config, kysely, clock, credentials }: PasswordResetsDeps,
  caller: Caller,
  { token, email, exactEmail }: ValidReset,
) {
  const user = await findUserByEmail(kysely, exactEmail)
  const stored = user && (await findResetToken(kysely, user.email, clock()))
  // Without a user the token may be that of a registration.
  const key = { email, digest: new ResetToken(token).digest() }
  const registration = user === null ? await findRegistration(kysely, key, clock()) : null
  if (user === null && registration === null && config.revealUnknownEmail)
    throw unprocessable({ email: [MESSAGES.unknownEmail] })
  const isRight = await credentials.verifyResetToken(caller, token, stored)
  if (!isRight && registration === null) throw wrongToken()
  return { user, stored, registration, key }
}

/** Makes the account of a registration. @throws {HttpError} 422 when it is over by now */
async function finishRegistration(
  { config, kysely, clock, random }: PasswordResetsDeps,
  caller: Caller,
  registration: { email: string; digest: ReturnType<ResetToken['digest']>; hash: PasswordHash },
): Promise<void> {
  const userId = await completeRegistration(kysely, {
    ...registration,
    nameElse: withSuffix(random),
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

/** Makes a name that nobody has of one that somebody has: its beginning, and a random end. */
const withSuffix = (random: (size: number) => Buffer) => (name: string) =>
  `${[...name].slice(0, MAX_NAME - 9).join('')}-${randomAlphanumerics(8, random)}`
