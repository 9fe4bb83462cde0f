import type { EpochMillis } from '#src/runtime/units.ts'
import type { Mail } from './mailer.ts'
import type { Block, Recipient, Write } from './template.ts'

/** When an event happened, and where it came from. */
export interface EventContext {
  at: EpochMillis
  /** Address and program; null for an action of staff, whose address is not shown. */
  from: { address: string; program: string } | null
}

/** An event with the URL of the page that secures the account ("this was not me"). */
export interface Notice extends EventContext {
  notMeUrl: string
}

/** A token that ends soon. */
export interface EndingToken {
  name: string
  endsAt: EpochMillis
}

/** Mails about events of an account. MAIL_SECURITY_EVENTS can turn each of them off. */
export interface SecurityMessages {
  /** A login from a new browser or network. */
  newLogin(to: Recipient, notice: Notice, isNew: { browser: boolean; network: boolean }): Mail
  /** A new token, or a rotated one (name: null). */
  tokenCreated(to: Recipient, notice: Notice, token: { name: string | null }): Mail
  /** Tokens that end soon. */
  tokensEnding(
    to: Recipient,
    tokens: readonly [EndingToken, ...EndingToken[]],
    page: { tokensUrl: string },
  ): Mail
  /** The second factor was confirmed. */
  secondFactorConfirmed(to: Recipient, notice: Notice): Mail
  /** The second factor was removed. */
  secondFactorRemoved(to: Recipient, notice: Notice): Mail
  /** A login with a recovery code. */
  recoveryCodeUsed(to: Recipient, notice: Notice): Mail
  /** The recovery codes were viewed or replaced. */
  recoveryCodesSeen(to: Recipient, notice: Notice, change: { areReplaced: boolean }): Mail
  /** Many wrong second-factor codes. */
  wrongCodes(to: Recipient, notice: Notice, tries: { count: number }): Mail
  /** The password was changed. */
  passwordChanged(to: Recipient, notice: Notice, change: { revokedTokens: boolean }): Mail
  /** To the old address: the address was changed without a revert link. */
  emailChanged(to: Recipient, happening: EventContext): Mail
  /** All data of the account was downloaded. */
  dataExported(to: Recipient, notice: Notice): Mail
  /** The account was deleted, and can be restored for some days. */
  accountDeleted(to: Recipient, happening: EventContext, restorable: { days: number }): Mail
}

/** How many tokens a mail names. */
const MAX_NAMED = 20

/**
 * Creates the {@link SecurityMessages} of a site.
 *
 * @param contactNote the operators' contact in brackets, with a leading space; empty if unknown
 */
export function createSecurityMessages(
  siteName: string,
  write: Write,
  contactNote: string,
): SecurityMessages {
  return {
    newLogin: (to, notice, { browser, network }) =>
      write(to, {
        subject: `New login to your ${siteName} account`,
        blocks: [
          `Your account was logged in to from ${
            browser && network
              ? 'a browser and a network that were'
              : browser
                ? 'a browser that was'
                : 'a network that was'
          } not used for it before.`,
          eventFacts(notice),
          ...notMeBlocks(notice),
        ],
      }),
    tokenCreated: (to, notice, { name }) =>
      write(to, {
        subject: `New token for your ${siteName} account`,
        blocks: [
          name === null
            ? 'A token of your account was replaced by a new one with the same name. Its holder can use your account within its abilities.'
            : `A token was created for your account: ${quoteName(name)}. Its holder can use your account within its abilities.`,
          eventFacts(notice),
          ...notMeBlocks(notice, 'There, tick the box that revokes the tokens.'),
        ],
      }),
    tokensEnding: (to, tokens, { tokensUrl }) =>
      write(to, {
        subject:
          tokens.length === 1
            ? `A token of yours for ${siteName} ends soon`
            : `${tokens.length} tokens of yours for ${siteName} end soon`,
        blocks: [
          'Some of your tokens end soon. Programs that use them will then be refused:',
          { list: listTokens(tokens) },
          'Rotate the tokens that you still need and give the new ones to your programs. Ignore the others.',
          { link: { label: 'Show my tokens', url: tokensUrl } },
        ],
      }),
    secondFactorConfirmed: (to, notice) =>
      write(to, {
        subject: `Two-factor authentication at ${siteName} is on`,
        blocks: [
          'Logins to your account now require a code. All other browsers are logged out. Keep the recovery codes in a safe place: without them and without your authenticator app you cannot log in.',
          eventFacts(notice),
          ...notMeBlocks(
            notice,
            `The person who set up this second factor has its codes: tell the operators${contactNote} that it is not yours.`,
          ),
        ],
      }),
    secondFactorRemoved: (to, notice) =>
      write(to, {
        subject: `Two-factor authentication at ${siteName} is off`,
        blocks: [
          'Your account no longer has a second factor: logins require only the password.',
          eventFacts(notice),
          ...notMeBlocks(notice),
        ],
      }),
    recoveryCodeUsed: (to, notice) =>
      write(to, {
        subject: `A recovery code of your ${siteName} account was used`,
        blocks: [
          'Your account was logged in to with the password and a recovery code. That code cannot be used again.',
          eventFacts(notice),
          ...notMeBlocks(
            notice,
            'Then create new recovery codes, because the old ones are known to another person.',
          ),
        ],
      }),
    recoveryCodesSeen: (to, notice, { areReplaced }) =>
      write(to, {
        subject: `The recovery codes of your ${siteName} account were ${areReplaced ? 'replaced' : 'shown'}`,
        blocks: [
          areReplaced
            ? 'Your account has new recovery codes. The old ones are no longer valid.'
            : 'The recovery codes of your account were viewed. Each of them replaces the authenticator app for one login.',
          eventFacts(notice),
          ...notMeBlocks(notice, 'Then create new recovery codes.'),
        ],
      }),
    wrongCodes: (to, notice, { count }) =>
      write(to, {
        subject: `Wrong codes for your ${siteName} account`,
        blocks: [
          `Within an hour ${count} wrong codes of the second factor were entered for your account. Codes are requested only after the right password: the person who entered them knows your password or is logged in.`,
          eventFacts(notice, 'The last one'),
          ...notMeBlocks(notice),
        ],
      }),
    passwordChanged: (to, notice, { revokedTokens }) =>
      write(to, {
        subject: `Your password for ${siteName} was changed`,
        blocks: [
          `Your account has a new password. All other browsers are logged out.${
            revokedTokens ? ' All tokens are revoked: programs that used one need a new one.' : ''
          }`,
          eventFacts(notice),
          ...notMeBlocks(notice),
        ],
      }),
    emailChanged: (to, happening) =>
      write(to, {
        subject: `Your e-mail address at ${siteName} was changed`,
        blocks: [
          'Your account now has another e-mail address. This is the last mail to this one.',
          eventFacts(happening),
          `If that was not you, tell the operators${contactNote}: another person may have access to your account.`,
        ],
      }),
    dataExported: (to, notice) =>
      write(to, {
        subject: `The data of your ${siteName} account was downloaded`,
        blocks: [
          'A file with everything that is stored about you was downloaded: your account, lists, notifications, logins and activity. It contains no password and no token.',
          eventFacts(notice),
          ...notMeBlocks(notice, 'There, tick the box that revokes the tokens.'),
        ],
      }),
    accountDeleted: (to, happening, { days }) =>
      write(to, {
        subject: `Your ${siteName} account is deleted`,
        blocks: [
          'Your account is deleted: logins are impossible, and its tokens are revoked.',
          eventFacts(happening),
          `It is kept for ${days} days and then deleted permanently, with its playlists. Until then the operators${contactNote} can restore it: write to them from this address if it was not you, or if you have changed your mind.`,
        ],
      }),
  }
}

/** The rows about an event: when it happened, and where it came from. */
export function eventFacts({ at, from }: EventContext, label = 'When'): Block {
  const when = [label, formatTime(at)] as const
  if (from === null) return { facts: [when, ['By', 'staff']] }
  return {
    facts: [when, ['Program', from.program], ['Address', from.address === '' ? 'unknown' : from.address]],
  }
}

/** The blocks that tell a user what to do about an unknown event. */
const notMeBlocks = ({ notMeUrl }: Notice, more = ''): Block[] => [
  `If that was you, ignore this mail. If it was not, open this page. It has a button that logs out all browsers and sends you a password reset link. ${more}`.trim(),
  { link: { label: 'This was not me', url: notMeUrl } },
  'The link can be used once, within seven days.',
]

/** Formats a time in UTC, to the minute. */
const formatTime = (millis: EpochMillis) => {
  const text = new Date(millis).toISOString()
  return `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`
}

function listTokens(tokens: readonly EndingToken[]): string[] {
  const soonest = tokens.toSorted((one, other) => one.endsAt - other.endsAt)
  const named = soonest
    .slice(0, MAX_NAMED)
    .map(({ name, endsAt }) => `${quoteName(name)} ends at ${formatTime(endsAt)}`)
  const more = tokens.length - named.length
  return more === 0 ? named : [...named, `and ${more} more`]
}

/** The maximum length of a name in a mail. */
const MAX_NAME_LENGTH = 60

/**
 * Quotes a name that may have been chosen by an attacker: shortened, on one line, without directional characters, and
 * without anything that mail programs would turn into a link.
 */
function quoteName(name: string): string {
  const plain = name
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[/\\:@]+/g, ' ')
    .replace(/\.(?=\p{L})/gu, '. ')
    .replace(/\s+/g, ' ')
    .trim()
  const characters = [...plain]
  return `“${characters.length > MAX_NAME_LENGTH ? `${characters.slice(0, MAX_NAME_LENGTH).join('')}…` : plain}”`
}
