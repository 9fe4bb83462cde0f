import type { Mail } from './mailer.ts'
import { type EventContext, eventFacts } from './security-messages.ts'
import type { Recipient, Write } from './template.ts'

/** A ban as the mail shows it. */
export interface BanNotice {
  /** The name of the permission or sanction. */
  name: string
  reason: string | null
  /** In ISO 8601; null for a permanent ban. */
  until: string | null
}

/** Mails with links, and mails that cannot be turned off. */
export interface AccountMessages {
  /** Asks a user to verify an e-mail address. */
  verification(to: Recipient, url: string): Mail
  /** Sends a new user the link to choose the password. */
  registration(to: Recipient, url: string): Mail
  /** Notifies a user that the address was entered for another account. */
  addressInUse(to: Recipient, url: string): Mail
  /** Sends a password reset link. */
  passwordReset(to: Recipient, url: string): Mail
  /** Asks a user to confirm a new e-mail address. */
  newEmail(to: Recipient, url: string): Mail
  /** Notifies the old address of the new one, with the revert link. */
  emailReplaced(to: Recipient, url: string, happening: EventContext): Mail
  /** Sends a password reset link after a reverted change. */
  emailReverted(to: Recipient, url: string): Mail
  /** Sends a password reset link after a user secured the account by a security link. */
  accountSecured(to: Recipient, url: string): Mail
  /** Notifies a user that a leaked token was revoked. */
  tokenLeaked(to: Recipient): Mail
  /** Notifies a user of a ban, its end and reason. */
  banned(to: Recipient, ban: BanNotice): Mail
}

/** Creates the {@link AccountMessages} of a site. */
export function createAccountMessages(siteName: string, write: Write): AccountMessages {
  return {
    verification: (to, url) =>
      write(to, {
        subject: `Verify your e-mail address at ${siteName}`,
        blocks: [
          'Please confirm that this address is yours by opening this link. It is valid for one hour. If you are not logged in, log in afterwards in the same browser.',
          { link: { label: 'Verify the address', url } },
          `If you have no account at ${siteName}, ignore this mail.`,
        ],
      }),
    registration: (to, url) =>
      write(to, {
        subject: `Your account at ${siteName}`,
        blocks: [
          `A registration at ${siteName} used this address. Open this link to choose the password of the account. It is valid for one hour.`,
          { link: { label: 'Choose a password', url } },
          'If that was not you, ignore this mail: without a password the account cannot be used.',
        ],
      }),
    addressInUse: (to, url) =>
      write(to, {
        subject: `You have an account at ${siteName}`,
        blocks: [
          `This address was entered at ${siteName} for another account. It already belongs to your account, and nothing has changed. You can log in here.`,
          { link: { label: 'Log in', url } },
          'If you have forgotten your password, request a new one on the login page. If that was not you, ignore this mail.',
        ],
      }),
    passwordReset: (to, url) =>
      write(to, {
        subject: `A new password for ${siteName}`,
        blocks: [
          'A new password was requested for your account. Open this link to choose it. The link is valid for one hour.',
          { link: { label: 'Choose a new password', url } },
          'If that was not you, ignore this mail: your password does not change.',
        ],
      }),
    newEmail: (to, url) =>
      write(to, {
        subject: `Confirm your new e-mail address at ${siteName}`,
        blocks: [
          'Open this link to make this the e-mail address of your account. It is valid for one hour, in a browser where you are logged in. Until then the old address remains.',
          { link: { label: 'Use this address', url } },
          'If you did not request this, ignore this mail: nothing changes.',
        ],
      }),
    emailReplaced: (to, url, happening) =>
      write(to, {
        subject: `Your e-mail address at ${siteName} was changed`,
        blocks: [
          'Your account now has another e-mail address.',
          eventFacts(happening),
          'If that was not you, this link restores the old address. It is valid for seven days. It opens a page with a button that restores the address, logs out all browsers, and sends you a password reset link.',
          { link: { label: 'Restore my old address', url } },
          'If it was you, ignore this mail. It is the last one to this address.',
        ],
      }),
    emailReverted: (to, url) =>
      write(to, {
        subject: `Your e-mail address at ${siteName} was restored`,
        blocks: [
          'This is the e-mail address of your account again. All browsers are logged out, and the old password is no longer valid. Open this link to choose a new one. It is valid for one hour.',
          { link: { label: 'Choose a new password', url } },
          'After that, request another link on the page for forgotten passwords.',
        ],
      }),
    accountSecured: (to, url) =>
      write(to, {
        subject: `All browsers are logged out of your ${siteName} account`,
        blocks: [
          'You have reported activity in your account that was not yours, so all browsers are logged out. The old password is still valid: choose a new one now. This link is valid for one hour.',
          { link: { label: 'Choose a new password', url } },
          'After that, request another link on the page for forgotten passwords. Then check the tokens, the second factor and the activity of your account.',
        ],
      }),
    tokenLeaked: to =>
      write(to, {
        subject: `A token of your ${siteName} account was found`,
        blocks: [
          'One of your tokens was found in a public place, so it is revoked. The activity of your account shows which one.',
          'Programs that used it need a new one. Check what it was used for.',
        ],
      }),
    banned: (to, { name, reason, until }) =>
      write(to, {
        subject: `Your ${siteName} account is banned`,
        blocks: [
          `The staff of ${siteName} has banned your account: ${name}.`,
          until === null ? 'The ban is permanent.' : `The ban ends at ${until}.`,
          ...(reason === null ? [] : [`Reason: ${reason}`]),
          'If you think that this is a mistake, contact the staff.',
        ],
      }),
  }
}
