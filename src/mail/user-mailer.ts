import { emailKey } from '#src/auth/email.ts'
import { SECURITY_MAIL_NAMES, SECURITY_MAILS } from '#src/auth/security-mails.ts'
import { emailHash, signLink, VERIFICATION_MS } from '#src/auth/signed-link.ts'
import type { Config } from '#src/config/config.ts'
import type { Keys } from '#src/config/keys.ts'
import { verificationUrl } from '#src/config/public-url.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { hourlyLimit } from '#src/limits/attempt-limit.ts'
import { LimitExceeded } from '#src/limits/counters.ts'
import type { Log } from '#src/runtime/log.ts'
import type { EpochMillis, MonotonicMillis } from '#src/runtime/units.ts'
import type { BanNotice } from './account-messages.ts'
import { createMailer, type Deliver, type Mail, type MailOutcome } from './mailer.ts'
import { createMessages, type Messages } from './messages.ts'
import type { EventContext, SecurityMessages } from './security-messages.ts'
import { createSmtpDelivery } from './smtp.ts'
import type { Recipient } from './template.ts'

/** Mails of one kind that an address receives per hour. */
const MAX_PER_HOUR = 5

/** Mails that only notify, without a requested link. */
type NoticeKind = keyof SecurityMessages | 'tokenLeaked'

/**
 * Sends mails to users. It returns before delivery. The mails of one kind per address are limited, so that a user
 * cannot be flooded by requests of others.
 */
export interface UserMailer {
  /** Whether an address has not reached the hourly limit of a kind. */
  mayReceive(kind: keyof Messages, email: string): Promise<boolean>
  /** Sends a password reset link. */
  sendPasswordReset(to: Recipient, url: string): Promise<void>
  /** Sends a new user the link to choose the password. */
  sendRegistration(to: Recipient, url: string): Promise<void>
  /** Notifies a user that the address was entered for another account. */
  sendAddressInUse(to: Recipient): Promise<void>
  /** Sends the link that verifies the user's e-mail address. */
  sendVerification(user: Recipient & { id: number }): Promise<void>
  /** Sends the link that confirms a new e-mail address, to that address. */
  sendNewEmail(user: Recipient & { id: number }): Promise<void>
  /** Sends the revert link of a changed e-mail address to the old address. It is not limited. */
  sendEmailReplaced(to: Recipient, url: string, happening: EventContext): Promise<void>
  /** Sends a password reset link after a reverted change. */
  sendEmailReverted(to: Recipient, url: string): Promise<void>
  /** Sends a password reset link after a user secured the account. */
  sendAccountSecured(to: Recipient, url: string): Promise<void>
  /** Notifies a user of a ban. */
  sendBan(to: Recipient, ban: BanNotice): Promise<void>
  /**
   * Notifies a user of an event, unless MAIL_SECURITY_EVENTS turns the mail off.
   *
   * @param compose creates the mail; called only if it is sent
   * @returns whether it is sent
   */
  notify<K extends NoticeKind>(
    kind: K,
    to: Recipient,
    compose: (text: Messages[K]) => Mail | Promise<Mail>,
  ): Promise<boolean>
  /** Gives queued mails a few seconds to be delivered. */
  close(): Promise<void>
}

/** Dependencies of {@link createUserMailer}. */
export interface UserMailerDeps {
  config: Pick<
    Config,
    | 'appEnv'
    | 'appName'
    | 'appUrl'
    | 'authPath'
    | 'loginUrl'
    | 'mailFrom'
    | 'mailSecurityEvents'
    | 'mailUrl'
    | 'securityContact'
  >
  clock: () => EpochMillis
  monotonic: () => MonotonicMillis
  attemptCounts: AttemptCounts
  keys: Pick<Keys, 'signing'>
  log: Log
  /** Delivers mails; null for MAIL_URL, or the log without it. */
  deliver: Deliver | null
  /** Called with the outcome of each mail. */
  onOutcome: (outcome: MailOutcome) => void
}

/** Creates the {@link UserMailer} of a server. */
export function createUserMailer({
  config,
  clock,
  monotonic,
  attemptCounts,
  keys,
  log,
  deliver,
  onOutcome,
}: UserMailerDeps): UserMailer {
  const texts = createMessages(config.appName, config.securityContact[0] ?? null)
  const { send, close } = createMailer({
    deliver: deliver ?? createDelivery(config, log),
    onOutcome(outcome, { subject }, error) {
      onOutcome(outcome)
      if (outcome !== 'sent') log.error({ err: error, subject }, `a mail is lost: ${outcome}`)
    },
  })

  /** The hourly limits by kind. */
  const limits = Object.fromEntries(
    Object.keys(texts).map(kind => [
      kind,
      hourlyLimit(attemptCounts, { name: `mail-${kind}`, max: MAX_PER_HOUR }, monotonic),
    ]),
  ) as Record<keyof Messages, ReturnType<typeof hourlyLimit>>

  const disabledKinds = new Set<keyof Messages>(
    SECURITY_MAIL_NAMES.filter(name => !config.mailSecurityEvents.has(name)).map(
      name => SECURITY_MAILS[name],
    ),
  )

  /** Sends a mail unless its kind is turned off or limited. Returns whether it is sent. */
  const sendLimited = async (kind: keyof Messages, to: Recipient, compose: () => Mail | Promise<Mail>) => {
    if (disabledKinds.has(kind)) return false
    try {
      // By the exact key of the address: similar addresses belong to different users, who must not use up each
      // other's limit.
      await limits[kind].count(emailKey(to.email))
    } catch (error) {
      if (!(error instanceof LimitExceeded)) throw error
      onOutcome('dropped')
      log.warn({ kind }, 'a mail was not sent: its address has reached the hourly limit of the kind')
      return false
    }
    send(await compose())
    return true
  }

  const sendOrDrop = async (...mail: Parameters<typeof sendLimited>): Promise<void> => {
    await sendLimited(...mail)
  }

  /** The signed link that verifies an address. */
  const verificationLink = ({ id, email }: { id: number; email: string }) =>
    signLink(verificationUrl(config, id, emailHash(email)), clock() + VERIFICATION_MS, keys.signing()[0])

  return {
    mayReceive: async (kind, email) => !(await limits[kind].isExhausted(emailKey(email))),
    sendPasswordReset: (to, url) => sendOrDrop('passwordReset', to, () => texts.passwordReset(to, url)),
    sendRegistration: (to, url) => sendOrDrop('registration', to, () => texts.registration(to, url)),
    sendAddressInUse: to =>
      sendOrDrop('addressInUse', to, () => texts.addressInUse(to, config.loginUrl.href)),
    sendBan: (to, ban) => sendOrDrop('banned', to, () => texts.banned(to, ban)),
    notify: (kind, to, compose) => sendLimited(kind, to, () => compose(texts[kind])),
    sendVerification: user =>
      sendOrDrop('verification', user, () => texts.verification(user, verificationLink(user))),
    sendNewEmail: user => sendOrDrop('newEmail', user, () => texts.newEmail(user, verificationLink(user))),
    sendEmailReverted: (to, url) => sendOrDrop('emailReverted', to, () => texts.emailReverted(to, url)),
    // Not limited: it is the only way to revert the change, and each one needed an opened link and a password.
    sendEmailReplaced: async (to, url, happening) => send(texts.emailReplaced(to, url, happening)),
    sendAccountSecured: (to, url) => sendOrDrop('accountSecured', to, () => texts.accountSecured(to, url)),
    close,
  }
}

/** Delivery by MAIL_URL, or to the log without it. */
function createDelivery(
  { mailUrl, mailFrom, appEnv }: Pick<Config, 'mailUrl' | 'mailFrom' | 'appEnv'>,
  log: Log,
): Deliver {
  if (mailUrl !== null && mailFrom !== null) return createSmtpDelivery(mailUrl, mailFrom)
  return async ({ to, subject, text }) => {
    // A link that gives access to an account must not be in a log that others can read.
    if (appEnv === 'production') log.warn({ subject }, 'a mail was not sent: MAIL_URL is not set')
    else log.info({ to: to.address, subject, text }, 'mail')
  }
}
