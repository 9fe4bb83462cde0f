import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createSecurityMails } from '#src/accounts/security-mails.ts'
import { createTokenReminders } from '#src/accounts/token-reminders.ts'
import { backgroundQueue } from '#src/runtime/background-queue.ts'

/** The capacity of the queue. */
const MAX_WAITING = 1_000

/**
 * Sends security mails about recorded events, after the response: all events pass `request.record()`. Also sends reminders
 * of tokens that expire soon.
 */
export default fp(
  async app => {
    const { config, clock, random, log, attemptCounts, identities, schedule, mail } = app
    const { kysely } = app.database
    const queue = backgroundQueue(MAX_WAITING)
    const mails = createSecurityMails({ config, kysely, clock, random, attemptCounts, mail })

    const scheduled = new WeakMap<FastifyRequest, (() => Promise<void>)[]>()
    const enqueue = (request: FastifyRequest, work: () => Promise<void>) => {
      if (queue.isFull) {
        request.log.warn('a security mail was not sent: the queue is full')
        return
      }
      queue.run(work).catch(error => {
        if (!app.noteOutage(error)) {
          request.log.error({ err: error }, 'a security mail could not be sent')
        }
      })
    }
    app.onRequestEnd(request => {
      for (const work of scheduled.get(request) ?? []) enqueue(request, work)
    })
    app.events.onRecorded((recorded, request) => {
      const work = mails.notificationOf(recorded, request)
      if (work === null) return
      if (request.isEnded) enqueue(request, work)
      else scheduled.set(request, [...(scheduled.get(request) ?? []), work])
    })

    const reminders = createTokenReminders({
      config,
      kysely,
      identities,
      clock,
      schedule,
      mail,
      run: queue.run,
      onFailure(error) {
        if (!app.noteOutage(error))
          log.error({ err: error }, 'reminders of expiring tokens could not be sent')
      },
    })
    if (config.mailSecurityEvents.has('token-ending')) app.addHook('onReady', async () => reminders.start())
    app.addHook('onClose', async () => {
      reminders.stop()
      await queue.close()
    })
  },
  {
    name: 'security-mails',
    dependencies: ['client-address', 'counters', 'database', 'events', 'mail', 'request-end'],
  },
)
