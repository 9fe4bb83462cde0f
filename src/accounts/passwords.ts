import type { SessionIdentity } from '#src/auth/identity.ts'
import { passwordAge } from '#src/auth/session.ts'
import type { Config } from '#src/config/config.ts'
import { confirmSession } from '#src/database/logins.ts'
import { changePassword } from '#src/database/passwords.ts'
import { type Credentials, findCredentialsById } from '#src/database/users.ts'
import { errorsByField } from '#src/input/account.ts'
import { unauthenticated, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis, Seconds } from '#src/runtime/units.ts'
import type { PasswordScreening } from '#src/screening/new-passwords.ts'
import type { BrowserCaller, SessionReplacement } from './browser-caller.ts'
import type { PasswordCredentials } from './credentials.ts'

type Entered = string | null | undefined

/** Use-cases of a session's user with the user's own password. */
export interface Passwords {
  /**
   * Marks the password as confirmed in the session, which gets a new id: one that was stolen before becomes useless
   * (session fixation, OWASP ASVS 3.2.1).
   *
   * @param field the name of the password field in the request
   * @throws {HttpError} 422 for a wrong password, and as {@link PasswordCredentials.check}
   */
  confirm(caller: BrowserCaller, password: Entered, field: string): Promise<void>
  /** Time since the password was confirmed in the caller's session; infinite for never. */
  secondsSinceConfirmed(caller: Pick<BrowserCaller, 'sessionCaller'>): Seconds
  /**
   * Sets a new password for the session's user and ends all other sessions. This session gets a new id, as by {@link
   * Passwords.confirm}: a copy of its cookie becomes useless.
   *
   * @throws {HttpError} 422 for a wrong current password and for an unacceptable new one, and as {@link
   *   PasswordCredentials.check}
   */
  change(
    caller: BrowserCaller,
    entered: { current: Entered; password: Entered; repeated: Entered; revokeTokens: boolean },
  ): Promise<void>
}

/** Dependencies of {@link createPasswords}. */
export interface PasswordsDeps {
  config: Pick<Config, 'tokenableTypes'>
  clock: () => EpochMillis
  sessions: SessionReplacement
  credentials: PasswordCredentials
  screening: { passwords: PasswordScreening }
}

/** Creates the {@link Passwords} of a server. */
export function createPasswords({
  config,
  clock,
  sessions,
  credentials,
  screening,
}: PasswordsDeps): Passwords {
  /** Verifies the password of the session's user; null for a wrong password. */
  const check = (caller: BrowserCaller, password: string) => {
    const { email } = caller.sessionCaller().user
    return credentials.check(caller, { email, password, as: 'confirm_password' })
  }

  return {
    async confirm(caller, password, field) {
      const wrong = unprocessable({ [field]: [MESSAGES.wrongPassword] })
      const verified = await check(caller, password ?? '')
      if (verified === null) throw wrong
      const { fresh } = sessions.prepareReplacement(caller)
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
      const currentErrors = [
        ...(isEntered ? [] : [MESSAGES.rules.required('current password')]),
        ...(verified === null ? [MESSAGES.wrongCurrentPassword] : []),
      ]
      const { user: owner } = caller.sessionCaller()
      const newErrors = await screening.passwords.errors(password, repeated, owner)
      const errors = errorsByField({ current_password: currentErrors, password: newErrors })
      if (errors !== null) throw unprocessable(errors)
      const hash = await credentials.hash(caller, password as string)
      const { fresh } = sessions.prepareReplacement(caller)
      const { identity, changed } = await caller.authorized(
        async (transaction, identity: SessionIdentity) => {
          const { user, session } = identity
          const present = await findCredentialsById(transaction, user.id)
          // The password was changed concurrently, while this one was hashed.
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
