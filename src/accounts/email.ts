import type { Kysely } from 'kysely'
import { hashResetToken, mintResetToken } from '#src/auth/reset-token.ts'
import { mintRevertToken, parseRevertToken, type RevertToken } from '#src/auth/revert-token.ts'
import { equalSecrets } from '#src/auth/secret.ts'
import { emailHash, isSignedLink } from '#src/auth/signed-link.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import type { Config } from '#src/config/config.ts'
import type { Keys } from '#src/config/keys.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
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
import type { Attempts } from './attempts.ts'
import type { Caller } from './caller.ts'
import { eventContextOf } from './event-context.ts'
import { notifyAddressOwner, type OwnerTold } from './notify-address-owner.ts'

/** A link of a mail that shows that an address is its user's, as it was requested. */
export interface OpenedLink {
  /** The path and the query string, without the question mark: both are signed. */
  path: string
  query: string
  /** The user's id and the hash of the address, as they stand in the path. */
  id: string
  hash: string
}

/** How e-mail addresses come to count as their users', and how they are brought back. */
export interface Email {
  /**
   * Opens a link of a mail: counts the user's address as verified, or makes the one that waits for it the user's.
   *
   * @throws {HttpError} 403 for a link that was changed, is too old or not the user's, 423 when a new address takes a
   *   confirmed password, 422 when another user has it by now, 429 when the limit is used up
   */
  openLink(caller: Caller, link: OpenedLink): Promise<void>
  /**
   * Sends the link of the address that waits to be the user's, or else of the one that the user has.
   *
   * @returns whether there was one to send, and the address is not verified already
   * @throws {HttpError} 429 when the limit is used up
   */
  sendLinkAgain(caller: Caller): Promise<boolean>
  /**
   * Sends the link that makes a new address a user's, to that address. With REGISTER_REVEALS=false its owner is told in
   * the place of that if it is another user's, after the answer, whose time tells nothing.
   */
  sendNewEmail(caller: Pick<Caller, 'afterAnswer'>, user: Recipient & { id: number }): Promise<void>
  /** The address that a link brings back; null for a link that counts no more. */
  findRevert(token: unknown): Promise<{ email: string; token: RevertToken } | null>
  /**
   * Brings an old address back by the link that was mailed there, ends all sessions, and mails a link to a new password.
   *
   * @returns the address; 'over' for a link that counts no more, and 'taken' when another user has the address by now
   */
  revert(caller: Pick<Caller, 'record'>, token: unknown): Promise<{ email: string } | 'over' | 'taken'>
}

/** What {@link createEmail} works with. */
export interface EmailDeps {
  config: Pick<
    Config,
    'appUrl' | 'registerReveals' | 'resetPasswordUrl' | 'revokeTokensOnPasswordReset' | 'tokenableTypes'
  >
  kysely: Kysely<Schema>
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
  keys: Pick<Keys, 'signing'>
  attempts: Attempts
  mail: UserMailer
  screening: OwnerTold['screening']
}

/** Makes the {@link Email} of a server. */
export function createEmail(deps: EmailDeps): Email {
  const { config, kysely, clock, random, keys, attempts, mail } = deps
  const changeEmail = emailChange(deps)

  /** Counts the address of the caller's user as verified. */
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
    caller.afterAnswer(send, 'the mail to a new e-mail address could not be sent')
  }

  return {
    sendNewEmail,
    async openLink(caller, { path, query, id, hash }) {
      const { user } = caller.sessionCaller()
      await attempts.count(caller, 'verification', String(user.id))
      // By the address as configured, whatever host the request names.
      if (!isSignedLink(config.appUrl.origin + path, query, clock(), keys.signing())) {
        throw forbidden(MESSAGES.invalidSignature)
      }
      if (id !== String(user.id)) throw forbidden()
      const pending = await findPendingEmail(kysely, user.id, clock())
      if (equalSecrets(hash, emailHash(user.email))) await verify(caller)
      else if (pending !== null && equalSecrets(hash, emailHash(pending))) await changeEmail(caller, pending)
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

/** Makes what makes an address that waits for it the one of the caller's user, and tells the old one. */
const emailChange =
  ({ config, clock, random, mail }: EmailDeps) =>
  async (caller: Caller, email: string): Promise<void> => {
    const token = mintRevertToken(random)
    const changed = await caller
      .authorized(async (transaction, { user }) => {
        // A page of another site can lead a user to a link that a thief has asked for.
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
    const happening = eventContextOf(caller, clock())
    if (!canRevert) {
      if (before.email.toLowerCase() !== email.toLowerCase()) {
        await mail.notify('emailChanged', before, text => text(before, happening))
      }
      return
    }
    const page = new URL(`${PANEL_PATH}/revert-email`, config.appUrl)
    await mail.sendEmailReplaced(before, tokenLink(page, token), happening)
  }
