import { html } from 'ghtml'
import type { Mail } from './mailer.ts'

/** Who gets a mail. */
export interface Recipient {
  name: string
  email: string
}

/** What somebody is banned from. */
export interface Ban {
  /** The name of a permission or of a set of them. */
  name: string
  reason: string | null
  /** In ISO 8601; null for good. */
  until: string | null
}

interface Content {
  subject: string
  /** What is said before the link, a paragraph each. */
  before: string[]
  link: { label: string; url: string } | null
  /** What is said behind it. */
  after: string[]
}

/** The mails of one place. */
export interface Messages {
  /** Asks somebody to show that an e-mail address is theirs. */
  verification(to: Recipient, url: string): Mail
  /** Brings somebody who registers the link by which the account's password is chosen. */
  registration(to: Recipient, url: string): Mail
  /** Tells a user that somebody has entered the address as that of another account. */
  addressInUse(to: Recipient, url: string): Mail
  /** Brings the link to a new password. */
  passwordReset(to: Recipient, url: string): Mail
  /** Tells that the password was changed. */
  passwordChanged(to: Recipient): Mail
  /** Asks a user to show that a new e-mail address is theirs, before it becomes the account's. */
  newEmail(to: Recipient, url: string): Mail
  /** Tells at the old address that there is a new one. */
  emailChanged(to: Recipient): Mail
  /** The same, with the link that brings the old one back. */
  emailReplaced(to: Recipient, url: string): Mail
  /** Brings the link to a new password after an old address was brought back. */
  emailReverted(to: Recipient, url: string): Mail
  /** Tells that somebody has found a token, which is revoked. */
  tokenLeaked(to: Recipient): Mail
  /** Tells what somebody may not do any more, until when and why. */
  banned(to: Recipient, ban: Ban): Mail
  /** Tells that the second factor is gone. */
  secondFactorRemoved(to: Recipient): Mail
}

const NOT_YOU = 'If that was not you, set a new password at once: somebody else may have got in.'

/**
 * The mails that users get.
 *
 * @param place what the server calls itself
 */
export function messages(place: string): Messages {
  const mail = (to: Recipient, { subject, before, link, after }: Content): Mail => ({
    to: { name: to.name, address: to.email },
    subject,
    text: [`Hello ${to.name},`, ...before, ...(link === null ? [] : [link.url]), ...after, place].join(
      '\n\n',
    ),
    html: html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${subject}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 2em auto; padding: 0 1em">
<p>Hello ${to.name},</p>
!${paragraphs(before)}
!${link === null ? '' : button(link)}
!${paragraphs(after)}
<p>${place}</p>
</body>
</html>
`,
  })

  return {
    verification: (to, url) =>
      mail(to, {
        subject: `Verify your e-mail address at ${place}`,
        before: [
          'Please show that this address is yours by opening this link. It works for an hour, in the browser in which you are logged in.',
        ],
        link: { label: 'Verify the address', url },
        after: [`If you have no account at ${place}, you need not do anything.`],
      }),
    registration: (to, url) =>
      mail(to, {
        subject: `Your account at ${place}`,
        before: [
          `Somebody, hopefully you, has registered at ${place} with this address. This link leads to the page on which you choose the password of the account, and works for an hour. No other password opens it.`,
        ],
        link: { label: 'Choose a password', url },
        after: ['If that was not you, you need not do anything: nobody can open the account.'],
      }),
    addressInUse: (to, url) =>
      mail(to, {
        subject: `You have an account at ${place}`,
        before: [
          `Somebody, hopefully you, has entered this address at ${place} as that of another account. It is the address of yours, and stays so. You can log in here.`,
        ],
        link: { label: 'Log in', url },
        after: [
          'If you have forgotten your password, the page for logging in leads to a new one. If that was not you, you need not do anything.',
        ],
      }),
    passwordReset: (to, url) =>
      mail(to, {
        subject: `A new password for ${place}`,
        before: [
          'Somebody, hopefully you, has asked for a new password. This link leads to it, and works for an hour.',
        ],
        link: { label: 'Choose a new password', url },
        after: ['If that was not you, you need not do anything: your password stays as it is.'],
      }),
    passwordChanged: to =>
      mail(to, {
        subject: `Your password for ${place} was changed`,
        before: ['Your account has a new password. Browsers that were logged in have to log in again.'],
        link: null,
        after: [NOT_YOU],
      }),
    newEmail: (to, url) =>
      mail(to, {
        subject: `Confirm your new e-mail address at ${place}`,
        before: [
          'Open this link to make this the e-mail address of your account. It works for an hour, in the browser in which you are logged in. Until then your old address stays.',
        ],
        link: { label: 'Use this address', url },
        after: ['If you did not ask for this, you need not do anything: nothing changes.'],
      }),
    emailReplaced: (to, url) =>
      mail(to, {
        subject: `Your e-mail address at ${place} was changed`,
        before: [
          'Your account has another e-mail address from now on. Was that not you? Then this link brings the old address back for seven days: it leads to a page with a button, logs everybody out, and sends you a link to a new password.',
        ],
        link: { label: 'Bring my old address back', url },
        after: ['If it was you, you need not do anything. This is the last mail to this address.'],
      }),
    emailReverted: (to, url) =>
      mail(to, {
        subject: `Your e-mail address at ${place} is back`,
        before: [
          'This is the e-mail address of your account again. Everybody is logged out, and the old password opens nothing any more. This link leads to a new one, and works for an hour.',
        ],
        link: { label: 'Choose a new password', url },
        after: ['After the hour, ask for another link on the page for forgotten passwords.'],
      }),
    emailChanged: to =>
      mail(to, {
        subject: `Your e-mail address at ${place} was changed`,
        before: ['Your account has another e-mail address from now on. This is the last mail to this one.'],
        link: null,
        after: ['If that was not you, tell those who run the place: somebody else may have got in.'],
      }),
    tokenLeaked: to =>
      mail(to, {
        subject: `A token of yours for ${place} was found`,
        before: [
          'Somebody has found one of your tokens where others can read it, and so it is revoked. Which one it was stands in the activity of your account.',
        ],
        link: null,
        after: ['Programs that used it need another one. Look into what was done with it meanwhile.'],
      }),
    banned: (to, { name, reason, until }) =>
      mail(to, {
        subject: `You are banned from something at ${place}`,
        before: [
          `Those who run the place have banned your account: ${name}.`,
          until === null ? 'The ban has no end.' : `The ban ends at ${until}.`,
          ...(reason === null ? [] : [`They give this reason: ${reason}`]),
        ],
        link: null,
        after: ['If you think that this is a mistake, answer them where you usually reach them.'],
      }),
    secondFactorRemoved: to =>
      mail(to, {
        subject: `Two-factor authentication at ${place} is off`,
        before: ['Your account has no second factor any more: the password alone opens it.'],
        link: null,
        after: [NOT_YOU],
      }),
  }
}

const paragraphs = (texts: readonly string[]) => texts.map(text => html`<p>${text}</p>`).join('\n')

/** With the address in sight as well, for programs that show no buttons and people who look where they go. */
const button = ({
  label,
  url,
}: {
  label: string
  url: string
}) => html`<p><a href="${url}" style="display: inline-block; padding: 0.6em 1.2em; border-radius: 0.4em; background: #2563eb; color: #ffffff; text-decoration: none">${label}</a></p>
<p style="font-size: 0.85em; color: #555555; word-break: break-all">${url}</p>`
