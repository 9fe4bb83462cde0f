import fp from 'fastify-plugin'
import { emailHash, signLink, VERIFICATION_MS } from '../src/auth/signed-link.ts'
import { accountKey, hourlyLimit } from '../src/limits/attempt-limit.ts'
import { LimitExceeded } from '../src/limits/counters.ts'
import { type Deliver, type Mail, mailer } from '../src/mail/mailer.ts'
import { type Ban, type Messages, messages, type Recipient } from '../src/mail/messages.ts'
import { smtpDelivery } from '../src/mail/smtp.ts'

/** Mails of one kind that an address gets in an hour. */
const HOURLY = 5

declare module 'fastify' {
  interface FastifyInstance {
    mail: {
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
      /** Sends the link that brings an old e-mail address back, to that address. */
      sendEmailReplaced(to: Recipient, url: string): Promise<void>
      /** Sends the link to a new password after an old e-mail address was brought back. */
      sendEmailReverted(to: Recipient, url: string): Promise<void>
      /** Tells somebody what they are banned from. */
      sendBan(to: Recipient, ban: Ban): Promise<void>
      /** Tells somebody what happened to the account. */
      notify(
        kind: Exclude<
          keyof Messages,
          | 'verification'
          | 'registration'
          | 'addressInUse'
          | 'newEmail'
          | 'emailReplaced'
          | 'emailReverted'
          | 'passwordReset'
          | 'banned'
        >,
        to: Recipient,
      ): Promise<void>
    }
  }
}

/**
 * Adds `app.mail`. Nobody waits for a mail: it goes to MAIL_URL, or else to the log. Nobody gets more than a few of a
 * kind within an hour, whoever asks for them.
 */
export default fp(
  async app => {
    const { config, log, attemptCounts, metrics, clock, monotonic } = app
    const texts = messages(config.appName)
    const { send, close } = mailer({
      deliver: app.deliverMail ?? delivery(),
      onOutcome(outcome, { subject }, error) {
        metrics.mail(outcome)
        if (outcome !== 'sent') log.error({ err: error, subject }, `a mail is lost: ${outcome}`)
      },
    })
    app.addHook('onClose', close)

    function delivery(): Deliver {
      const { mailUrl, mailFrom, appEnv } = config
      if (mailUrl !== null && mailFrom !== null) return smtpDelivery(mailUrl, mailFrom)
      return async ({ to, subject, text }: Mail) => {
        // A link that opens an account has no place in a log that others read.
        if (appEnv === 'production') log.warn({ subject }, 'a mail was not sent: MAIL_URL is not set')
        else log.info({ to: to.address, subject, text }, 'mail')
      }
    }

    /** How many mails of a kind an address has been sent within the hour. */
    const limits = Object.fromEntries(
      Object.keys(texts).map(kind => [
        kind,
        hourlyLimit(attemptCounts, { name: `mail-${kind}`, max: HOURLY }, monotonic),
      ]),
    ) as Record<keyof Messages, ReturnType<typeof hourlyLimit>>

    const sendLimited = async (kind: keyof Messages, to: Recipient, compose: () => Mail) => {
      try {
        await limits[kind].count(accountKey(to.email))
      } catch (error) {
        if (!(error instanceof LimitExceeded)) throw error
        metrics.mail('dropped')
        log.warn({ kind }, 'a mail was not sent: its address has had too many of the kind within the hour')
        return
      }
      send(compose())
    }

    /** The link that shows that an address is its user's. */
    const verificationLink = ({ id, email }: { id: number; email: string }) => {
      const url = `${config.appUrl.origin}${config.authPath}/email/verify/${id}/${emailHash(email)}`
      return signLink(url, clock() + VERIFICATION_MS, app.keys.signing()[0])
    }

    app.decorate('mail', {
      mayReceive: async (kind, email) => !(await limits[kind].isUsedUp(accountKey(email))),
      sendPasswordReset: (to, url) => sendLimited('passwordReset', to, () => texts.passwordReset(to, url)),
      sendRegistration: (to, url) => sendLimited('registration', to, () => texts.registration(to, url)),
      sendAddressInUse: to =>
        sendLimited('addressInUse', to, () => texts.addressInUse(to, config.loginUrl.href)),
      sendBan: (to, ban) => sendLimited('banned', to, () => texts.banned(to, ban)),
      notify: (kind, to) => sendLimited(kind, to, () => texts[kind](to)),
      sendVerification: user =>
        sendLimited('verification', user, () => texts.verification(user, verificationLink(user))),
      sendNewEmail: user => sendLimited('newEmail', user, () => texts.newEmail(user, verificationLink(user))),
      sendEmailReverted: (to, url) => sendLimited('emailReverted', to, () => texts.emailReverted(to, url)),
      sendEmailReplaced: (to, url) => sendLimited('emailReplaced', to, () => texts.emailReplaced(to, url)),
    })
  },
  { name: 'mail', dependencies: ['counters', 'keys', 'metrics'] },
)
