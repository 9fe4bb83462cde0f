import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createSecurityMails } from '#src/accounts/security-mails.ts'
import { createTokenReminders } from '#src/accounts/token-reminders.ts'
import { background } from '#src/runtime/background.ts'

/** Events that wait to be told. */
const WAITING = 1_000

/**
 * Tells users by mail what happens to their accounts, after the answer: `request.record()` is where all of it passes.
 * Users are reminded of tokens that end soon.
 */
export default fp(
  async app => {
    const { config, clock, random, log, attemptCounts, identities, schedule, mail } = app
    const { kysely } = app.database
    const later = background(WAITING)
    const mails = createSecurityMails({ config, kysely, clock, random, attemptCounts, mail })

    const promised = new WeakMap<FastifyRequest, (() => Promise<void>)[]>()
    const begin = (request: FastifyRequest, work: () => Promise<void>) => {
      if (later.isFull) {
        request.log.warn('a mail about an account was not sent: too many wait to be written')
        return
      }
      later.run(work).catch(error => {
        if (!app.noteOutage(error)) {
          request.log.error({ err: error }, 'a mail about an account could not be sent')
        }
      })
    }
    app.onRequestEnd(request => {
      for (const work of promised.get(request) ?? []) begin(request, work)
    })
    app.events.onRecorded((recorded, request) => {
      const work = mails.about(recorded, request)
      if (work === null) return
      if (request.isOver) begin(request, work)
      else promised.set(request, [...(promised.get(request) ?? []), work])
    })

    const reminders = createTokenReminders({
      config,
      kysely,
      identities,
      clock,
      schedule,
      mail,
      run: later.run,
      onFailure(error) {
        if (!app.noteOutage(error))
          log.error({ err: error }, 'users could not be reminded of tokens that end')
      },
    })
    if (config.mailSecurityEvents.has('token-ending')) app.addHook('onReady', async () => reminders.start())
    app.addHook('onClose', async () => {
      reminders.stop()
      await later.close()
    })
  },
  {
    name: 'security-mails',
    dependencies: ['client-address', 'counters', 'database', 'events', 'mail', 'request-end'],
  },
)
