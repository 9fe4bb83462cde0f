import type { Mail } from './mailer.ts'
import type { Block, Recipient, Write } from './template.ts'

/** When something happened to an account, and from where. */
export interface EventContext {
  /** Milliseconds since the epoch. */
  at: number
  /** The address, and the program in words; null when another user did it, whose address is not for the user. */
  from: { address: string; program: string } | null
}

/** The same, with the page on which the user says that it was somebody else. */
export interface Notice extends EventContext {
  notMeUrl: string
}

/** A token that ends soon. */
export interface EndingToken {
  name: string
  /** Milliseconds since the epoch. */
  endsAt: number
}

/** The mails that tell what happened to an account, or is about to: MAIL_SECURITY_EVENTS turns each of them off. */
export interface SecurityMessages {
  /** Tells of a login from a browser or a network that was not seen before. */
  newLogin(to: Recipient, notice: Notice, isNew: { browser: boolean; network: boolean }): Mail
  /** Tells that there is a new token, perhaps in the place of another one. */
  tokenCreated(to: Recipient, notice: Notice, token: { name: string | null }): Mail
  /** Tells which tokens end soon. */
  tokensEnding(
    to: Recipient,
    tokens: readonly [EndingToken, ...EndingToken[]],
    page: { tokensUrl: string },
  ): Mail
  /** Tells that logins ask for the second factor from now on. */
  secondFactorConfirmed(to: Recipient, notice: Notice): Mail
  /** Tells that the second factor is gone. */
  secondFactorRemoved(to: Recipient, notice: Notice): Mail
  /** Tells that somebody logged in with a recovery code. */
  recoveryCodeUsed(to: Recipient, notice: Notice): Mail
  /** Tells that the recovery codes were shown, or replaced. */
  recoveryCodesSeen(to: Recipient, notice: Notice, change: { areReplaced: boolean }): Mail
  /** Tells that somebody enters wrong codes. */
  wrongCodes(to: Recipient, notice: Notice, tries: { count: number }): Mail
  /** Tells that the password was changed. */
  passwordChanged(to: Recipient, notice: Notice, change: { revokedTokens: boolean }): Mail
  /** Tells at the old address that there is a new one, which cannot be taken back. */
  emailChanged(to: Recipient, happening: EventContext): Mail
  /** Tells that the account is deleted, and how it can come back. */
  accountDeleted(to: Recipient, happening: EventContext, restorable: { days: number }): Mail
}

/** How many tokens a mail names. */
const MOST_NAMED = 20

/**
 * Makes the {@link SecurityMessages} of a place.
 *
 * @param reached where its operators are reached, in brackets behind a space; empty for nowhere that is known
 */
export function securityMessages(place: string, write: Write, reached: string): SecurityMessages {
  return {
    newLogin: (to, notice, { browser, network }) =>
      write(to, {
        subject: `New login to your ${place} account`,
        blocks: [
          `Somebody, hopefully you, has logged in to your account from ${
            browser && network
              ? 'a browser and a network that were'
              : browser
                ? 'a browser that was'
                : 'a network that was'
          } not used for it before.`,
          factsOf(notice),
          ...wayOut(notice),
        ],
      }),
    tokenCreated: (to, notice, { name }) =>
      write(to, {
        subject: `New token for your ${place} account`,
        blocks: [
          name === null
            ? 'A token of your account was replaced by a new one, of the same name. Whoever has it can use your account with what it allows.'
            : `A token was created for your account: ${quoted(name)}. Whoever has it can use your account with what it allows.`,
          factsOf(notice),
          ...wayOut(notice, 'Tick the box for tokens there.'),
        ],
      }),
    tokensEnding: (to, tokens, { tokensUrl }) =>
      write(to, {
        subject:
          tokens.length === 1
            ? `A token of yours for ${place} ends soon`
            : `${tokens.length} tokens of yours for ${place} end soon`,
        blocks: [
          'Some of your tokens are about to end. From then on programs that use them are refused:',
          { list: listOf(tokens) },
          'Replace those that you still need, and give the new ones to your programs. You need not do anything about others.',
          { link: { label: 'Look at my tokens', url: tokensUrl } },
        ],
      }),
    secondFactorConfirmed: (to, notice) =>
      write(to, {
        subject: `Two-factor authentication at ${place} is on`,
        blocks: [
          'From now on logins to your account ask for a code. All other browsers are logged out. Keep the recovery codes in a safe place: without them and without your authenticator app you cannot log in.',
          factsOf(notice),
          ...wayOut(
            notice,
            `Whoever set up this second factor has its codes: tell those who run the place${reached} that it is not yours.`,
          ),
        ],
      }),
    secondFactorRemoved: (to, notice) =>
      write(to, {
        subject: `Two-factor authentication at ${place} is off`,
        blocks: [
          'Your account has no second factor any more: the password alone opens it.',
          factsOf(notice),
          ...wayOut(notice),
        ],
      }),
    recoveryCodeUsed: (to, notice) =>
      write(to, {
        subject: `A recovery code of your ${place} account was used`,
        blocks: [
          'Somebody, hopefully you, has logged in to your account with the password and a recovery code. That code is used up.',
          factsOf(notice),
          ...wayOut(notice, 'Then make new recovery codes: somebody else has the old ones.'),
        ],
      }),
    recoveryCodesSeen: (to, notice, { areReplaced }) =>
      write(to, {
        subject: `The recovery codes of your ${place} account were ${areReplaced ? 'replaced' : 'shown'}`,
        blocks: [
          areReplaced
            ? 'Your account has new recovery codes: those from before open nothing any more.'
            : 'Somebody, hopefully you, has looked at the recovery codes of your account, by which one logs in without the authenticator app.',
          factsOf(notice),
          ...wayOut(notice, 'Then make new recovery codes.'),
        ],
      }),
    wrongCodes: (to, notice, { count }) =>
      write(to, {
        subject: `Wrong codes for your ${place} account`,
        blocks: [
          `Within an hour ${count} wrong codes of the second factor were entered for your account. Codes are asked for behind the password alone: whoever entered them knows your password, or is logged in.`,
          factsOf(notice, 'The last one'),
          ...wayOut(notice),
        ],
      }),
    passwordChanged: (to, notice, { revokedTokens }) =>
      write(to, {
        subject: `Your password for ${place} was changed`,
        blocks: [
          `Your account has a new password. Browsers that were logged in have to log in again.${
            revokedTokens ? ' All tokens are revoked: programs that used one need another.' : ''
          }`,
          factsOf(notice),
          ...wayOut(notice),
        ],
      }),
    emailChanged: (to, happening) =>
      write(to, {
        subject: `Your e-mail address at ${place} was changed`,
        blocks: [
          'Your account has another e-mail address from now on. This is the last mail to this one.',
          factsOf(happening),
          `If that was not you, tell those who run the place${reached}: somebody else may have got in.`,
        ],
      }),
    accountDeleted: (to, happening, { days }) =>
      write(to, {
        subject: `Your ${place} account is deleted`,
        blocks: [
          'Your account is deleted: nobody can log in, and its tokens open nothing.',
          factsOf(happening),
          `It is kept for ${days} days and then deleted for good, with its playlists. Until then those who run the place${reached} can bring it back: write to them from this address, whether it was not you or you have changed your mind.`,
        ],
      }),
  }
}

/** When and from where something happened. */
export function factsOf({ at, from }: EventContext, label = 'When'): Block {
  const when = [label, momentOf(at)] as const
  if (from === null) return { facts: [when, ['By', 'those who run the place']] }
  return {
    facts: [when, ['Program', from.program], ['Address', from.address === '' ? 'unknown' : from.address]],
  }
}

/** What to do if it was somebody else. */
const wayOut = ({ notMeUrl }: Notice, more = ''): Block[] => [
  `If that was you, you need not do anything. If it was not, open this page: it has a button that logs everybody out and sends you a link to a new password. ${more}`.trim(),
  { link: { label: 'This was not me', url: notMeUrl } },
  'The link works once, for seven days.',
]

/** A moment in UTC, to the minute. */
const momentOf = (millis: number) => {
  const text = new Date(millis).toISOString()
  return `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`
}

function listOf(tokens: readonly EndingToken[]): string[] {
  const soonest = tokens.toSorted((one, other) => one.endsAt - other.endsAt)
  const named = soonest
    .slice(0, MOST_NAMED)
    .map(({ name, endsAt }) => `${quoted(name)} ends at ${momentOf(endsAt)}`)
  const more = tokens.length - named.length
  return more === 0 ? named : [...named, `and ${more} more`]
}

/** The longest part of a name that a mail shows. */
const MOST_OF_NAME = 60

/**
 * A name that somebody chose, perhaps not the user: bounded, on one line, in one direction, and no address that
 * programs for mail would make a link of.
 */
function quoted(name: string): string {
  const plain = name
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[/\\:@]+/g, ' ')
    .replace(/\.(?=\p{L})/gu, '. ')
    .replace(/\s+/g, ' ')
    .trim()
  const characters = [...plain]
  return `“${characters.length > MOST_OF_NAME ? `${characters.slice(0, MOST_OF_NAME).join('')}…` : plain}”`
}
