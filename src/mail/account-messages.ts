import type { Mail } from './mailer.ts'
import { type EventContext, factsOf } from './security-messages.ts'
import type { Recipient, Write } from './template.ts'

/** What somebody is banned from. */
export interface Ban {
  /** The name of a permission or of a set of them. */
  name: string
  reason: string | null
  /** In ISO 8601; null for good. */
  until: string | null
}

/** The mails that open something, and those that nobody can turn off. */
export interface AccountMessages {
  /** Asks somebody to show that an e-mail address is theirs. */
  verification(to: Recipient, url: string): Mail
  /** Brings somebody who registers the link by which the account's password is chosen. */
  registration(to: Recipient, url: string): Mail
  /** Tells a user that somebody has entered the address as that of another account. */
  addressInUse(to: Recipient, url: string): Mail
  /** Brings the link to a new password. */
  passwordReset(to: Recipient, url: string): Mail
  /** Asks a user to show that a new e-mail address is theirs, before it becomes the account's. */
  newEmail(to: Recipient, url: string): Mail
  /** Tells at the old address that there is a new one, with the link that brings the old one back. */
  emailReplaced(to: Recipient, url: string, happening: EventContext): Mail
  /** Brings the link to a new password after an old address was brought back. */
  emailReverted(to: Recipient, url: string): Mail
  /** Brings the link to a new password after a user said that something was somebody else's doing. */
  accountSecured(to: Recipient, url: string): Mail
  /** Tells that somebody has found a token, which is revoked. */
  tokenLeaked(to: Recipient): Mail
  /** Tells what somebody may not do any more, until when and why. */
  banned(to: Recipient, ban: Ban): Mail
}

/** Makes the {@link AccountMessages} of a place. */
export function accountMessages(place: string, write: Write): AccountMessages {
  return {
    verification: (to, url) =>
      write(to, {
        subject: `Verify your e-mail address at ${place}`,
        blocks: [
          'Please show that this address is yours by opening this link. It works for an hour, in the browser in which you are logged in.',
          { link: { label: 'Verify the address', url } },
          `If you have no account at ${place}, you need not do anything.`,
        ],
      }),
    registration: (to, url) =>
      write(to, {
        subject: `Your account at ${place}`,
        blocks: [
          `Somebody, hopefully you, has registered at ${place} with this address. This link leads to the page on which you choose the password of the account, and works for an hour. No other password opens it.`,
          { link: { label: 'Choose a password', url } },
          'If that was not you, you need not do anything: nobody can open the account.',
        ],
      }),
    addressInUse: (to, url) =>
      write(to, {
        subject: `You have an account at ${place}`,
        blocks: [
          `Somebody, hopefully you, has entered this address at ${place} as that of another account. It is the address of yours, and stays so. You can log in here.`,
          { link: { label: 'Log in', url } },
          'If you have forgotten your password, the page for logging in leads to a new one. If that was not you, you need not do anything.',
        ],
      }),
    passwordReset: (to, url) =>
      write(to, {
        subject: `A new password for ${place}`,
        blocks: [
          'Somebody, hopefully you, has asked for a new password. This link leads to it, and works for an hour.',
          { link: { label: 'Choose a new password', url } },
          'If that was not you, you need not do anything: your password stays as it is.',
        ],
      }),
    newEmail: (to, url) =>
      write(to, {
        subject: `Confirm your new e-mail address at ${place}`,
        blocks: [
          'Open this link to make this the e-mail address of your account. It works for an hour, in the browser in which you are logged in. Until then your old address stays.',
          { link: { label: 'Use this address', url } },
          'If you did not ask for this, you need not do anything: nothing changes.',
        ],
      }),
    emailReplaced: (to, url, happening) =>
      write(to, {
        subject: `Your e-mail address at ${place} was changed`,
        blocks: [
          'Your account has another e-mail address from now on.',
          factsOf(happening),
          'Was that not you? Then this link brings the old address back for seven days: it leads to a page with a button, logs everybody out, and sends you a link to a new password.',
          { link: { label: 'Bring my old address back', url } },
          'If it was you, you need not do anything. This is the last mail to this address.',
        ],
      }),
    emailReverted: (to, url) =>
      write(to, {
        subject: `Your e-mail address at ${place} is back`,
        blocks: [
          'This is the e-mail address of your account again. Everybody is logged out, and the old password opens nothing any more. This link leads to a new one, and works for an hour.',
          { link: { label: 'Choose a new password', url } },
          'After the hour, ask for another link on the page for forgotten passwords.',
        ],
      }),
    accountSecured: (to, url) =>
      write(to, {
        subject: `Everybody is logged out of your ${place} account`,
        blocks: [
          'You have said that something in your account was not your doing, and so all browsers are logged out. Whoever knows the old password can still log in with it: choose a new one now. This link works for an hour.',
          { link: { label: 'Choose a new password', url } },
          'After the hour, ask for another link on the page for forgotten passwords. Then look at the tokens, the second factor and the activity of your account.',
        ],
      }),
    tokenLeaked: to =>
      write(to, {
        subject: `A token of yours for ${place} was found`,
        blocks: [
          'Somebody has found one of your tokens where others can read it, and so it is revoked. Which one it was stands in the activity of your account.',
          'Programs that used it need another one. Look into what was done with it meanwhile.',
        ],
      }),
    banned: (to, { name, reason, until }) =>
      write(to, {
        subject: `You are banned from something at ${place}`,
        blocks: [
          `Those who run the place have banned your account: ${name}.`,
          until === null ? 'The ban has no end.' : `The ban ends at ${until}.`,
          ...(reason === null ? [] : [`They give this reason: ${reason}`]),
          'If you think that this is a mistake, answer them where you usually reach them.',
        ],
      }),
  }
}
