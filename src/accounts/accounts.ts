import type { Kysely } from 'kysely'
import { revokedDetails } from '#src/auth/events.ts'
import { hashResetToken, mintResetToken } from '#src/auth/reset-token.ts'
import { parseSecurityLinkToken, type SecurityLinkToken } from '#src/auth/security-link.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { deleteUser } from '#src/database/deleted-users.ts'
import type { Schema } from '#src/database/schema.ts'
import { findSecurityLink, secureAccount } from '#src/database/security-links.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller, DeviceTokens, SessionReplacement } from './browser-caller.ts'

/** What ends all that is open of an account. */
export interface Accounts {
  /** Deletes the account of the session's user, which ends all of its sessions, remembered browsers and tokens. */
  delete(caller: BrowserCaller): Promise<void>
  /**
   * Whose account the link of a security mail secures; null for a link that counts no more. It counts as a guess of the
   * caller's address.
   *
   * @throws {HttpError} 429 after too many wrong ones
   */
  findSecurityLink(
    caller: Pick<BrowserCaller, 'clientAddress'>,
    token: unknown,
  ): Promise<{ name: string; token: SecurityLinkToken } | null>
  /**
   * Secures an account whose user says by the link of a mail that something was somebody else's doing: ends all sessions
   * and remembered browsers, tokens as well if that is wanted, and mails a link to a new password to a verified address.
   *
   * @returns how many tokens ended, and whether a link was mailed; null for a link that counts no more
   * @throws {HttpError} 429 after too many wrong ones
   */
  secure(
    caller: BrowserCaller,
    token: unknown,
    options: { revokesTokens: boolean },
  ): Promise<{ tokens: number; isMailed: boolean } | null>
}

/** What {@link createAccounts} works with. */
export interface AccountsDeps {
  config: Pick<Config, 'resetPasswordUrl' | 'tokenableTypes'>
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  attempts: Attempts
  mail: UserMailer
  sessions: SessionReplacement
  devices: DeviceTokens
}

/** Makes the {@link Accounts} of a server. */
export function createAccounts({
  config,
  kysely,
  clock,
  random,
  attempts,
  mail,
  sessions,
  devices,
}: AccountsDeps): Accounts {
  const find: Accounts['findSecurityLink'] = async (caller, text) => {
    const token = parseSecurityLinkToken(text)
    if (token === null) return null
    const { link } = await attempts.guess(caller, token.digest(), async () => {
      const link = await findSecurityLink(kysely, token.digest(), clock())
      return { isRight: link !== null, link }
    })
    return link && { name: link.name, token }
  }

  /** Gives the caller's browser a session of no user, in the place of the one that has ended. */
  const leave = async (caller: BrowserCaller) => {
    devices.send(caller, null)
    await sessions.start(caller)
  }

  return {
    async delete(caller) {
      const userId = await caller.authorized(async (transaction, { user }) => {
        await deleteUser(transaction, user.id, clock())
        return user.id
      })
      caller.record('account deleted', { userId })
      await leave(caller)
    },
    findSecurityLink: find,
    async secure(caller, text, { revokesTokens }) {
      const found = await find(caller, text)
      if (found === null) return null
      const resetToken = mintResetToken(random)
      const secured = await secureAccount(kysely, found.token.digest(), {
        revokeTokens: revokesTokens ? config.tokenableTypes : null,
        resetToken: await hashResetToken(resetToken),
        now: clock(),
      })
      if (secured === null) return null
      const { userId, name, email, tokens } = secured
      caller.record('account secured', { userId, revokedTokens: revokesTokens })
      if (tokens.length > 0) {
        caller.record('token revoked', { userId, which: 'all', ...revokedDetails(tokens) })
      }
      if (email !== null) {
        await mail.sendAccountSecured({ name, email }, tokenLink(config.resetPasswordUrl, resetToken))
      }
      if (caller.identity?.user.id === userId) {
        // The session of this very browser is over as well.
        await leave(caller)
        caller.identity = null
      }
      return { tokens: tokens.length, isMailed: email !== null }
    },
  }
}
