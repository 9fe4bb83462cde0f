import fp from 'fastify-plugin'
import { MINUTE_MS } from '#src/auth/time.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Fills in the keys by which names and e-mail addresses are compared, for users that others added or renamed. What
     * cannot be written yet is written the next time.
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
        if (filled > 0) log.info({ users: filled }, 'names and e-mail addresses have got their keys')
        if (collisions.length > 0) {
          log.warn(
            { collisions },
            'users have e-mail addresses that are forms of one: each logs in with the exact one; see "user collisions"',
          )
        }
      } catch (error) {
        if (!app.noteOutage(error)) log.warn({ err: error }, 'keys of users could not be written yet')
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
