import { emailKey } from '#src/auth/email.ts'
import { SECURITY_MAIL_NAMES, SECURITY_MAILS } from '#src/auth/security-mails.ts'
import { emailHash, signLink, VERIFICATION_MS } from '#src/auth/signed-link.ts'
import type { Config } from '#src/config/config.ts'
import type { Keys } from '#src/config/keys.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { hourlyLimit } from '#src/limits/attempt-limit.ts'
import { LimitExceeded } from '#src/limits/counters.ts'
import type { Log } from '#src/runtime/log.ts'
import type { Ban } from './account-messages.ts'
import { type Deliver, type Mail, type MailOutcome, mailer } from './mailer.ts'
import { type Messages, messages } from './messages.ts'
import type { EventContext, SecurityMessages } from './security-messages.ts'
import { smtpDelivery } from './smtp.ts'
import type { Recipient } from './template.ts'

/** Mails of one kind that an address gets in an hour. */
const HOURLY = 5

/** Mails that tell of something, and bring no link that somebody waits for. */
type NoticeKind = keyof SecurityMessages | 'tokenLeaked'

/**
 * Sends users their mails. Nobody waits for one. Nobody gets more than a few of a kind within an hour, whoever asks for
 * them.
 */
export interface UserMailer {
  /** Whether an address may be sent one more mail of a kind within the hour. */
  mayReceive(kind: keyof Messages, email: string): Promise<boolean>
  /** Sends the link to a new password. */
  sendPasswordReset(to: Recipient, url: string): Promise<void>
  /** Sends the link by which somebody who registers chooses a password. */
  sendRegistration(to: Recipient, url: string): Promise<void>
  /** Tells a user that somebody has entered the user's address as that of another account. */
  sendAddressInUse(to: Recipient): Promise<void>
  /** Sends the link that verifies a user's e-mail address. */
  sendVerification(user: Recipient & { id: number }): Promise<void>
  /** Sends the link that makes a new e-mail address a user's, to that address. */
  sendNewEmail(user: Recipient & { id: number }): Promise<void>
  /** Sends the link that brings an old e-mail address back, to that address, however many mails it has had. */
  sendEmailReplaced(to: Recipient, url: string, happening: EventContext): Promise<void>
  /** Sends the link to a new password after an old e-mail address was brought back. */
  sendEmailReverted(to: Recipient, url: string): Promise<void>
  /** Sends the link to a new password after a user said that something was somebody else's doing. */
  sendAccountSecured(to: Recipient, url: string): Promise<void>
  /** Tells somebody what they are banned from. */
  sendBan(to: Recipient, ban: Ban): Promise<void>
  /**
   * Tells somebody what happened to the account, unless MAIL_SECURITY_EVENTS turns that off.
   *
   * @param compose makes the mail, once it is known that the address may be sent one more
   * @returns whether it is sent
   */
  notify<K extends NoticeKind>(
    kind: K,
    to: Recipient,
    compose: (text: Messages[K]) => Mail | Promise<Mail>,
  ): Promise<boolean>
  /** Gives what is under way a few seconds to arrive. */
  close(): Promise<void>
}

/** What {@link createUserMailer} works with. */
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
  /** Milliseconds since the epoch. */
  clock: () => number
  /** Milliseconds since a moment that does not change. */
  monotonic: () => number
  attemptCounts: AttemptCounts
  keys: Pick<Keys, 'signing'>
  log: Log
  /** Brings mails on their way; null for MAIL_URL, or else the log. */
  deliver: Deliver | null
  /** Hears what becomes of each mail. */
  onOutcome: (outcome: MailOutcome) => void
}

/** Makes the {@link UserMailer} of a server. */
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
  const texts = messages(config.appName, config.securityContact[0] ?? null)
  const { send, close } = mailer({
    deliver: deliver ?? configuredDelivery(config, log),
    onOutcome(outcome, { subject }, error) {
      onOutcome(outcome)
      if (outcome !== 'sent') log.error({ err: error, subject }, `a mail is lost: ${outcome}`)
    },
  })

  /** How many mails of a kind an address has been sent within the hour. */
  const limits = Object.fromEntries(
    Object.keys(texts).map(kind => [
      kind,
      hourlyLimit(attemptCounts, { name: `mail-${kind}`, max: HOURLY }, monotonic),
    ]),
  ) as Record<keyof Messages, ReturnType<typeof hourlyLimit>>

  const off = new Set<keyof Messages>(
    SECURITY_MAIL_NAMES.filter(name => !config.mailSecurityEvents.has(name)).map(
      name => SECURITY_MAILS[name],
    ),
  )

  /** Sends a mail unless its kind is turned off, or its address has had too many of it. Returns whether it does. */
  const sendLimited = async (kind: keyof Messages, to: Recipient, compose: () => Mail | Promise<Mail>) => {
    if (off.has(kind)) return false
    try {
      // Addresses that merely look alike are different people's: one must not use up what another is told.
      await limits[kind].count(emailKey(to.email))
    } catch (error) {
      if (!(error instanceof LimitExceeded)) throw error
      onOutcome('dropped')
      log.warn({ kind }, 'a mail was not sent: its address has had too many of the kind within the hour')
      return false
    }
    send(await compose())
    return true
  }

  const sendOrDrop = async (...mail: Parameters<typeof sendLimited>): Promise<void> => {
    await sendLimited(...mail)
  }

  /** The link that shows that an address is its user's. */
  const verificationLink = ({ id, email }: { id: number; email: string }) => {
    const url = `${config.appUrl.origin}${config.authPath}/email/verify/${id}/${emailHash(email)}`
    return signLink(url, clock() + VERIFICATION_MS, keys.signing()[0])
  }

  return {
    mayReceive: async (kind, email) => !(await limits[kind].isUsedUp(emailKey(email))),
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
    // It is the only way back, and each takes a link that was opened and a password: no limit may keep it.
    sendEmailReplaced: async (to, url, happening) => send(texts.emailReplaced(to, url, happening)),
    sendAccountSecured: (to, url) => sendOrDrop('accountSecured', to, () => texts.accountSecured(to, url)),
    close,
  }
}

/** How mails go on their way as configured: by MAIL_URL, or else to the log. */
function configuredDelivery(
  { mailUrl, mailFrom, appEnv }: Pick<Config, 'mailUrl' | 'mailFrom' | 'appEnv'>,
  log: Log,
): Deliver {
  if (mailUrl !== null && mailFrom !== null) return smtpDelivery(mailUrl, mailFrom)
  return async ({ to, subject, text }) => {
    // A link that opens an account has no place in a log that others read.
    if (appEnv === 'production') log.warn({ subject }, 'a mail was not sent: MAIL_URL is not set')
    else log.info({ to: to.address, subject, text }, 'mail')
  }
}
