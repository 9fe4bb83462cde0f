import fp from 'fastify-plugin'
import { type LastUsedNotes, lastUsedNotes } from '../src/auth/last-used.ts'
import { writeLastUsed } from '../src/database/tokens.ts'

declare module 'fastify' {
  interface FastifyInstance {
    lastUsed: LastUsedNotes
  }
}

const FLUSH_INTERVAL_MS = 5_000

/** Notes when tokens are used, and writes the notes every few seconds and at the end. */
export default fp(
  async app => {
    const notes = lastUsedNotes(uses => writeLastUsed(app.database.kysely, uses))
    app.decorate('lastUsed', notes)

    const flush = () =>
      notes.flush().catch(error => app.log.warn({ err: error }, 'last_used_at could not be written yet'))

    app.addHook('onResponse', async request => {
      if (request.identity?.via === 'token') notes.note(request.identity.token.id, app.clock())
    })

    let timer: NodeJS.Timeout | undefined
    app.addHook('onReady', async () => {
      timer = setInterval(flush, FLUSH_INTERVAL_MS).unref()
    })
    app.addHook('onClose', async () => {
      clearInterval(timer)
      await flush()
    })
  },
  { name: 'last-used', dependencies: ['identify'] },
)
