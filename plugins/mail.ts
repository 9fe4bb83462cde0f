import fp from 'fastify-plugin'
import { createUserMailer, type UserMailer } from '#src/mail/user-mailer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    mail: UserMailer
  }
}

/** Adds `app.mail`. */
export default fp(
  async app => {
    const { config, clock, monotonic, attemptCounts, keys, log, deliverMail: deliver, metrics } = app
    const mail = createUserMailer({
      config,
      clock,
      monotonic,
      attemptCounts,
      keys,
      log,
      deliver,
      onOutcome: metrics.countMail,
    })
    app.addHook('onClose', mail.close)
    app.decorate('mail', mail)
  },
  { name: 'mail', dependencies: ['counters', 'keys', 'metrics'] },
)
