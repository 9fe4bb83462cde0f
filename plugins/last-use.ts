import fp from 'fastify-plugin'
import { createLastUse, type LastUse } from '#src/accounts/last-use.ts'
import { pruneExpired } from '#src/accounts/maintenance.ts'

declare module 'fastify' {
  interface FastifyInstance {
    lastUse: LastUse & {
      /** Deletes what is over. */
      prune(): Promise<void>
    }
  }
}

const FLUSH_INTERVAL_MS = 5_000
const PRUNE_INTERVAL_MS = 600_000

/** Notes when tokens and sessions are used, writes that every few seconds and at the end, and clears up. */
export default fp(
  async app => {
    const { clock, monotonic, config, attemptCounts, log } = app
    const { kysely } = app.database
    const onFailure = (error: Error, sentence: string) => {
      if (!app.noteOutage(error)) log.warn({ err: error }, sentence)
    }
    const activity = createLastUse({ kysely, clock, monotonic, onFailure })
    const prune = () => pruneExpired({ kysely, config, attemptCounts, onFailure }, clock())
    app.decorate('activity', { ...activity, prune })
    app.onRequestEnd(request => activity.note(request))

    const timers: NodeJS.Timeout[] = []
    app.addHook('onReady', async () => {
      timers.push(
        setInterval(activity.flush, FLUSH_INTERVAL_MS).unref(),
        setInterval(prune, PRUNE_INTERVAL_MS).unref(),
      )
    })
    app.addHook('onClose', async () => {
      for (const timer of timers) clearInterval(timer)
      await activity.flush()
    })
  },
  { name: 'activity', dependencies: ['counters', 'identify', 'request-end'] },
)
