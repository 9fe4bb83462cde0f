import fp from 'fastify-plugin'
import { createLastUse, type LastUse } from '#src/accounts/last-use.ts'
import { pruneExpired } from '#src/accounts/maintenance.ts'
import type { Millis } from '#src/runtime/units.ts'

declare module 'fastify' {
  interface FastifyInstance {
    lastUse: LastUse & {
      /** Deletes expired rows. */
      prune(): Promise<void>
    }
  }
}

const FLUSH_INTERVAL_MS: Millis = 5_000
const PRUNE_INTERVAL_MS: Millis = 600_000

/** Collects last-use notes, writes them every few seconds (write-behind) and at shutdown, and prunes expired rows. */
export default fp(
  async app => {
    const { clock, monotonic, config, attemptCounts, log } = app
    const { kysely } = app.database
    const onFailure = (error: Error, message: string) => {
      if (!app.noteOutage(error)) log.warn({ err: error }, message)
    }
    const lastUse = createLastUse({ kysely, config, clock, monotonic, onFailure })
    const prune = () => pruneExpired({ kysely, config, attemptCounts, onFailure }, clock())
    app.decorate('lastUse', { ...lastUse, prune })
    app.onRequestEnd(request => lastUse.note(request))

    const timers: NodeJS.Timeout[] = []
    app.addHook('onReady', async () => {
      timers.push(
        setInterval(lastUse.flush, FLUSH_INTERVAL_MS).unref(),
        setInterval(prune, PRUNE_INTERVAL_MS).unref(),
      )
    })
    app.addHook('onClose', async () => {
      for (const timer of timers) clearInterval(timer)
      await lastUse.flush()
    })
  },
  { name: 'last-use', dependencies: ['counters', 'identify', 'request-end'] },
)
