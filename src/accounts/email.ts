import type { Kysely } from 'kysely'
import { hashResetToken, mintResetToken } from '#src/auth/reset-token.ts'
import { mintRevertToken, parseRevertToken, type RevertToken } from '#src/auth/revert-token.ts'
import { constantTimeEqual } from '#src/auth/secret.ts'
import { emailHash } from '#src/auth/signed-link.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { publicUrl } from '#src/config/public-url.ts'
import {
  confirmPendingEmail,
  findEmailRevert,
  findPendingEmail,
  revertEmail,
} from '#src/database/email-changes.ts'
import type { Schema } from '#src/database/schema.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { verifyEmail } from '#src/database/users.ts'
import type { Recipient } from '#src/mail/template.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import { forbidden, passwordConfirmationRequired, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Bytes, EpochMillis } from '#src/runtime/units.ts'
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import { eventContextOf } from './event-context.ts'
import { type AddressOwnerDeps, notifyAddressOwner } from './notify-address-owner.ts'
import type { OpenedLink, OpenedLinks } from './opened-links.ts'

/** Verification, change and reversion of e-mail addresses. */
export interface Email {
  /**
   * Opens a verification link: marks the user's address as verified, or replaces it by the pending one.
   *
   * @throws {HttpError} 403 for a link that was tampered with, has expired or belongs to another user; 423 when a new
   *   address requires a confirmed password; 422 when another user has taken the address meanwhile; 429 when the
   *   limit is used up
   */
  openLink(caller: Caller, link: OpenedLink): Promise<void>
  /**
   * Sends the link of the pending address, or of the user's own address.
   *
   * @returns false when no address is pending and the user's address is already verified
   * @throws {HttpError} 429 when the limit is used up
   */
  sendLinkAgain(caller: Caller): Promise<boolean>
  /**
   * Sends the confirmation link of a new address to that address. With REGISTER_REVEALS=false the mail is sent after
   * the response, whose time reveals nothing, and if the address is taken, its owner is notified instead.
   */
  sendNewEmail(caller: Pick<Caller, 'afterResponse'>, user: Recipient & { id: number }): Promise<void>
  /** Finds the address that a revert link restores; null for a link that is unknown or expired. */
  findRevert(token: unknown): Promise<{ email: string; token: RevertToken } | null>
  /**
   * Restores an old address by the link that was mailed to it, ends all sessions, and mails a password reset link.
   *
   * @returns the address; 'over' for a link that is unknown or expired, 'taken' when another user has the address
   */
  revert(caller: Pick<Caller, 'record'>, token: unknown): Promise<{ email: string } | 'over' | 'taken'>
}

/** Dependencies of {@link createEmail}. */
export interface EmailDeps {
  config: Pick<
    Config,
    'appUrl' | 'registerReveals' | 'resetPasswordUrl' | 'revokeTokensOnPasswordReset' | 'tokenableTypes'
  >
  kysely: Kysely<Schema>
  clock: () => EpochMillis
  random: (size: Bytes) => Buffer
  openedLinks: Pick<OpenedLinks, 'isGenuine'>
  attempts: Attempts
  mail: UserMailer
  screening: AddressOwnerDeps['screening']
}

/** Creates the {@link Email} use-cases of a server. */
export function createEmail(deps: EmailDeps): Email {
  const { config, kysely, clock, random, openedLinks, attempts, mail } = deps
  const replaceEmail = createEmailReplacement(deps)

  /** Marks the address of the caller's user as verified. */
  const verify = async (caller: Caller) => {
    const { id, isNew } = await caller.authorized(async (transaction, { user }) => {
      const account = { userId: user.id, email: user.email, types: config.tokenableTypes }
      return { id: user.id, isNew: await verifyEmail(transaction, account, clock()) }
    })
    if (isNew) caller.record('email verified', { userId: id })
  }

  const sendNewEmail: Email['sendNewEmail'] = async (caller, user) => {
    if (config.registerReveals) return mail.sendNewEmail(user)
    const send = async () => {
      if (!(await notifyAddressOwner(deps, user.email, user))) await mail.sendNewEmail(user)
    }
    caller.afterResponse(send, 'the mail to a new e-mail address could not be sent')
  }

  return {
    sendNewEmail,
    async openLink(caller, link) {
      const { id, hash } = link
      const { user } = caller.sessionCaller()
      await attempts.count(caller, 'verification', String(user.id))
      if (!openedLinks.isGenuine(link)) throw forbidden(MESSAGES.invalidSignature)
      if (id !== String(user.id)) throw forbidden()
      const pending = await findPendingEmail(kysely, user.id, clock())
      if (constantTimeEqual(hash, emailHash(user.email))) await verify(caller)
      else if (pending !== null && constantTimeEqual(hash, emailHash(pending)))
        await replaceEmail(caller, pending)
      else throw forbidden()
    },
    async sendLinkAgain(caller) {
      const { user } = caller.sessionCaller()
      await attempts.count(caller, 'verification', String(user.id))
      const pending = await findPendingEmail(kysely, user.id, clock())
      if (pending !== null) await sendNewEmail(caller, { ...user, email: pending })
      else if (user.emailVerifiedAt !== null) return false
      else await mail.sendVerification(user)
      return true
    },
    async findRevert(text) {
      const token = parseRevertToken(text)
      const found = token && (await findEmailRevert(kysely, token.digest(), clock()))
      return token && found && { email: found.email, token }
    },
    async revert(caller, text) {
      const token = parseRevertToken(text)
      if (token === null) return 'over'
      const resetToken = mintResetToken(random)
      const reverted = await revertEmail(kysely, token.digest(), {
        resetToken: await hashResetToken(resetToken),
        revokeTokens: config.revokeTokensOnPasswordReset ? config.tokenableTypes : null,
        now: clock(),
      }).catch(error => {
        if (error instanceof UserExists) return 'taken' as const
        throw error
      })
      if (reverted === 'taken') return reverted
      if (reverted === null) return 'over'
      const { userId, email } = reverted
      caller.record('email change reverted', { userId })
      await mail.sendEmailReverted(reverted, tokenLink(config.resetPasswordUrl, resetToken))
      return { email }
    },
  }
}

/** Creates the function that replaces the address of the caller's user by the pending one and notifies the old one. */
const createEmailReplacement =
  ({ config, clock, random, mail }: EmailDeps) =>
  async (caller: Caller, email: string): Promise<void> => {
    const token = mintRevertToken(random)
    const changed = await caller
      .authorized(async (transaction, { user }) => {
        // Another site can lead a user to a link that an attacker has requested for the user's session.
        if (caller.owesPassword()) throw passwordConfirmationRequired()
        return confirmPendingEmail(transaction, user.id, { email, token: token.digest(), now: clock() })
      })
      .catch(error => {
        if (error instanceof UserExists) throw unprocessable({ email: [MESSAGES.rules.unique('email')] })
        throw error
      })
    if (changed === null) throw forbidden()
    const { before, canRevert } = changed
    caller.record('email changed', { userId: before.id })
    const context = eventContextOf(caller, clock())
    if (!canRevert) {
      if (before.email.toLowerCase() !== email.toLowerCase()) {
        await mail.notify('emailChanged', before, text => text(before, context))
      }
      return
    }
    const page = publicUrl(config.appUrl, `${PANEL_PATH}/revert-email`)
    await mail.sendEmailReplaced(before, tokenLink(page, token), context)
  }
