import type { SessionIdentity } from '#src/auth/identity.ts'
import { passwordAge } from '#src/auth/session.ts'
import type { Config } from '#src/config/config.ts'
import { confirmSession } from '#src/database/logins.ts'
import { changePassword } from '#src/database/passwords.ts'
import { type Credentials, findCredentialsById } from '#src/database/users.ts'
import { errorsByField } from '#src/input/account.ts'
import { unauthenticated, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { PasswordScreening } from '#src/screening/new-passwords.ts'
import type { BrowserCaller, SessionReplacement } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'

type Entered = string | null | undefined

/** What users do with their own passwords in a session. */
export interface Passwords {
  /**
   * Remembers in the session that its user has just entered the password. The session gets a new id: one that was
   * stolen before opens nothing more (session fixation, OWASP ASVS 3.2.1).
   *
   * @param field what the password is called where it was entered
   * @throws {HttpError} 422 for a wrong one, and as {@link PasswordCredentials.check}
   */
  confirm(caller: BrowserCaller, password: Entered, field: string): Promise<void>
  /** Seconds since the password was confirmed in the caller's session; infinite when it was not. */
  secondsSinceConfirmed(caller: Pick<BrowserCaller, 'sessionCaller'>): number
  /**
   * Gives the session's user a new password, which ends all of the user's other sessions. This one gets a new id, as
   * by {@link Passwords.confirm}: a copy of its cookie opens nothing more.
   *
   * @throws {HttpError} 422 for a wrong present one and for a new one that nobody can have, and as
   *   {@link PasswordCredentials.check}
   */
  change(
    caller: BrowserCaller,
    entered: { current: Entered; password: Entered; repeated: Entered; revokeTokens: boolean },
  ): Promise<void>
}

/** What {@link createPasswords} works with. */
export interface PasswordsDeps {
  config: Pick<Config, 'tokenableTypes'>
  /** Milliseconds since the epoch. */
  clock: () => number
  sessions: SessionReplacement
  credentials: PasswordCredentials
  screening: { passwords: PasswordScreening }
}

/** Makes the {@link Passwords} of a server. */
export function createPasswords({
  config,
  clock,
  sessions,
  credentials,
  screening,
}: PasswordsDeps): Passwords {
  /** The credentials of the session's user; null for a wrong password. */
  const check = (caller: BrowserCaller, password: string) => {
    const { email } = caller.sessionCaller().user
    return credentials.check(caller, { email, password, as: 'confirm_password' })
  }

  return {
    async confirm(caller, password, field) {
      const wrong = unprocessable({ [field]: [MESSAGES.wrongPassword] })
      const verified = await check(caller, password ?? '')
      if (verified === null) throw wrong
      const { fresh } = sessions.next(caller)
      const { identity, confirmed } = await caller.authorized(
        async (transaction, identity: SessionIdentity) => {
          const present = await findCredentialsById(transaction, identity.user.id)
          if (present?.password !== verified.password) throw wrong
          return {
            identity,
            confirmed: await confirmSession(transaction, identity.session, present, fresh),
          }
        },
        { confirmsPassword: true },
      )
      sessions.adopt(caller, confirmed)
      caller.identity = { ...identity, session: confirmed }
      caller.record('password confirmed', { userId: identity.user.id })
    },
    secondsSinceConfirmed: caller => passwordAge(caller.sessionCaller().session, clock()),
    async change(caller, { current, password, repeated, revokeTokens }) {
      const isEntered = typeof current === 'string'
      const verified = isEntered ? await check(caller, current) : null
      const ofCurrent = [
        ...(isEntered ? [] : [MESSAGES.rules.required('current password')]),
        ...(verified === null ? [MESSAGES.wrongCurrentPassword] : []),
      ]
      const { user: owner } = caller.sessionCaller()
      const ofNew = await screening.passwords.errors(password, repeated, owner)
      const errors = errorsByField({ current_password: ofCurrent, password: ofNew })
      if (errors !== null) throw unprocessable(errors)
      const hash = await credentials.hash(caller, password as string)
      const { fresh } = sessions.next(caller)
      const { identity, changed } = await caller.authorized(
        async (transaction, identity: SessionIdentity) => {
          const { user, session } = identity
          const present = await findCredentialsById(transaction, user.id)
          // Another change of the password was made while this one was hashed.
          if (present?.password !== (verified as Credentials).password) throw unauthenticated()
          await changePassword(transaction, user.id, hash, {
            keep: session.id.digest(),
            revokeTokens: revokeTokens ? config.tokenableTypes : null,
            now: clock(),
          })
          return {
            identity,
            changed: await confirmSession(transaction, session, { ...present, password: hash }, fresh),
          }
        },
      )
      sessions.adopt(caller, changed)
      caller.identity = { ...identity, session: changed }
      caller.record('password changed', { userId: identity.user.id, revokedTokens: revokeTokens })
    },
  }
}
