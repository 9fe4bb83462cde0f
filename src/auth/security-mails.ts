import type { EventDetails, EventName } from './events.ts'
import type { Identity } from './identity.ts'

/** The mails about the security of an account, by their names in MAIL_SECURITY_EVENTS: each a message of the catalogue. */
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
  'account-deleted': 'accountDeleted',
} as const

/** The name of such a mail. */
export type SecurityMail = keyof typeof SECURITY_MAILS

/** All of their names. */
export const SECURITY_MAIL_NAMES = Object.keys(SECURITY_MAILS) as readonly SecurityMail[]

/** How a caller was known when something happened; null for nobody. */
type Via = Identity['via'] | null

type Verdict = (details: EventDetails, via: Via) => SecurityMail | null

const whenConfirmed =
  (name: SecurityMail): Verdict =>
  ({ confirmed }) =>
    confirmed === true ? name : null

/**
 * Which mail tells of which event. What is not here is told by no mail, by one of its own (such as the links of e-mail
 * addresses and bans), or by none because it happens all the time.
 */
const TOLD: { readonly [E in EventName]?: Verdict } = {
  login: ({ cause }) =>
    cause === 'registration' ? null : cause === 'recovery code' ? 'recovery-code-used' : 'new-login',
  'token created': () => 'token-created',
  // Programs replace their own tokens by themselves, as often as every day.
  'token rotated': (_details, via) => (via === 'session' ? 'token-created' : null),
  'second factor confirmed': () => 'second-factor-on',
  'second factor removed': whenConfirmed('second-factor-off'),
  // Another one takes the place of the one that counted, and counts only once it is confirmed.
  'second factor enabled': whenConfirmed('second-factor-off'),
  // Whoever sets a second factor up looks at its recovery codes.
  'recovery codes shown': ({ confirmed, fresh }) =>
    confirmed === true && fresh !== true ? 'recovery-codes' : null,
  'recovery codes replaced': whenConfirmed('recovery-codes'),
  'wrong code': () => 'wrong-codes',
  'password changed': () => 'password-changed',
  'password reset': () => 'password-changed',
  'account deleted': () => 'account-deleted',
}

/**
 * The mail that tells a user of an event; null for none.
 *
 * @param via how whoever did it was known
 */
export const mailAbout = (event: EventName, details: EventDetails, via: Via): SecurityMail | null =>
  TOLD[event]?.(details, via) ?? null
