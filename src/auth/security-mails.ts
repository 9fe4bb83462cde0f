import type { EventDetails, EventName } from './events.ts'
import type { Identity } from './identity.ts'

/** The security mails, by their names in MAIL_SECURITY_EVENTS, with their messages in the catalogue. */
export const SECURITY_MAILS = {
  'new-login': 'newLogin',
  'token-created': 'tokenCreated',
  'token-ending': 'tokensEnding',
  'second-factor-on': 'secondFactorConfirmed',
  'second-factor-off': 'secondFactorRemoved',
  'recovery-code-used': 'recoveryCodeUsed',
  'recovery-codes': 'recoveryCodesSeen',
  'wrong-codes': 'wrongCodes',
  'password-changed': 'passwordChanged',
  'email-changed': 'emailChanged',
  'data-exported': 'dataExported',
  'account-deleted': 'accountDeleted',
} as const

/** The name of a security mail. */
export type SecurityMail = keyof typeof SECURITY_MAILS

export const SECURITY_MAIL_NAMES = Object.keys(SECURITY_MAILS) as readonly SecurityMail[]

/** How the caller of an event was authenticated; null for a guest. */
type Via = Identity['via'] | null

type MailRule = (details: EventDetails, via: Via) => SecurityMail | null

const ifConfirmed =
  (name: SecurityMail): MailRule =>
  ({ confirmed }) =>
    confirmed === true ? name : null

/**
 * The mail of each event. Events that are absent have no mail, or one that the use-case sends itself (such as links
 * of e-mail addresses, and bans), or happen too often.
 */
const MAIL_RULES: { readonly [E in EventName]?: MailRule } = {
  login: ({ cause }) =>
    cause === 'registration' ? null : cause === 'recovery code' ? 'recovery-code-used' : 'new-login',
  'token created': () => 'token-created',
  // Programs rotate their own tokens automatically, for example daily.
  'token rotated': (_details, via) => (via === 'session' ? 'token-created' : null),
  'second factor confirmed': () => 'second-factor-on',
  'second factor removed': ifConfirmed('second-factor-off'),
  // A new secret replaces the confirmed one, and is in effect only after its confirmation.
  'second factor enabled': ifConfirmed('second-factor-off'),
  // Viewing the codes is part of setting a second factor up.
  'recovery codes shown': ({ confirmed, fresh }) =>
    confirmed === true && fresh !== true ? 'recovery-codes' : null,
  'recovery codes replaced': ifConfirmed('recovery-codes'),
  'wrong code': () => 'wrong-codes',
  'password changed': () => 'password-changed',
  'password reset': () => 'password-changed',
  'data exported': () => 'data-exported',
  'account deleted': () => 'account-deleted',
}

/**
 * Returns the mail for an event; null for none.
 *
 * @param via how the caller of the event was authenticated
 */
export const selectSecurityMail = (event: EventName, details: EventDetails, via: Via): SecurityMail | null =>
  MAIL_RULES[event]?.(details, via) ?? null
