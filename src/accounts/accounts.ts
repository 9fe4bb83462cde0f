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
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { BrowserCaller, DeviceTokens, SessionReplacement } from './browser-caller.ts'

/** Use-cases that end all access to an account. */
export interface Accounts {
  /** Deletes the account of the session's user. All its sessions, remembered devices and tokens end. */
  delete(caller: BrowserCaller): Promise<void>
  /**
   * Finds the account of a security mail's link; null for a link that is unknown or expired. A wrong token counts
   * against the limit of the caller's address.
   *
   * @throws {HttpError} 429 after too many wrong tokens
   */
  findSecurityLink(
    caller: Pick<BrowserCaller, 'clientAddress'>,
    token: unknown,
  ): Promise<{ name: string; token: SecurityLinkToken } | null>
  /**
   * Secures an account by the link of a security mail: ends all sessions, forgets all remembered devices, optionally
   * revokes all tokens, and mails a password reset link to a verified address.
   *
   * @returns the number of revoked tokens and whether a link was mailed; null for a link that is unknown or expired
   * @throws {HttpError} 429 after too many wrong tokens
   */
  secure(
    caller: BrowserCaller,
    token: unknown,
    options: { revokesTokens: boolean },
  ): Promise<{ tokens: number; isMailed: boolean } | null>
}

/** Dependencies of {@link createAccounts}. */
export interface AccountsDeps {
  config: Pick<Config, 'resetPasswordUrl' | 'tokenableTypes'>
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  attempts: Attempts
  mail: UserMailer
  sessions: SessionReplacement
  devices: DeviceTokens
}

/** Creates the {@link Accounts} of a server. */
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
  const findLink: Accounts['findSecurityLink'] = async (caller, text) => {
    const token = parseSecurityLinkToken(text)
    if (token === null) return null
    const { link } = await attempts.lookUpToken(caller, token.digest(), async () => {
      const link = await findSecurityLink(kysely, token.digest(), clock())
      return { isRight: link !== null, link }
    })
    return link && { name: link.name, token }
  }

  /** Gives the caller's browser a guest session instead of the one that has ended. */
  const startGuestSession = async (caller: BrowserCaller) => {
    devices.sendCookie(caller, null)
    await sessions.start(caller)
  }

  return {
    async delete(caller) {
      const userId = await caller.authorized(async (transaction, { user }) => {
        await deleteUser(transaction, user.id, clock())
        return user.id
      })
      caller.record('account deleted', { userId })
      await startGuestSession(caller)
    },
    findSecurityLink: findLink,
    async secure(caller, text, { revokesTokens }) {
      const found = await findLink(caller, text)
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
        // The caller's own session ended as well.
        await startGuestSession(caller)
        caller.identity = null
      }
      return { tokens: tokens.length, isMailed: email !== null }
    },
  }
}
