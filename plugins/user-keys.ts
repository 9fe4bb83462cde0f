import fp from 'fastify-plugin'
import { MINUTE_MS } from '#src/auth/time.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Fills in the normalized keys of names and e-mail addresses, for users that other programs added or renamed. Failed
     * writes are retried with the next call.
     */
    fillUserKeys(): Promise<void>
  }
}

const INTERVAL_MS = MINUTE_MS

/** Adds `app.fillUserKeys()`, and calls it every minute. */
export default fp(
  async app => {
    const { log } = app
    app.decorate('fillUserKeys', async () => {
      try {
        const { filled, collisions } = await fillUserKeys(app.database.kysely)
        if (filled > 0) log.info({ users: filled }, 'keys of names and e-mail addresses were filled in')
        if (collisions.length > 0) {
          log.warn(
            { collisions },
            'users have equivalent e-mail addresses: each logs in with the exact one; see "user collisions"',
          )
        }
      } catch (error) {
        if (!app.noteOutage(error)) log.warn({ err: error }, 'keys of users could not be written')
      }
    })
    let timer: NodeJS.Timeout | undefined
    app.addHook('onReady', async () => {
      timer = setInterval(app.fillUserKeys, INTERVAL_MS).unref()
    })
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'user-keys', dependencies: ['database'] },
)
