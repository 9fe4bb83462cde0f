import fp from 'fastify-plugin'
import { type IdentityCache, identityCache } from '#src/auth/identity-cache.ts'
import { type Identities, identities } from '#src/database/identities.ts'
import { isMigrated } from '#src/database/migrate.ts'
import { type Readiness, readiness } from '#src/database/readiness.ts'

declare module 'fastify' {
  interface FastifyInstance {
    identities: Identities
    /** The cache of identities; null with IDENTITY_CACHE=off. */
    identityCache: IdentityCache | null
    /** Whether the database answers and is migrated, as of the last second. */
    readiness: Readiness
  }
}

/** Adds `app.identities` and `app.readiness`, and closes the database when the app closes, after everything that still writes to it. */
export default fp(
  async app => {
    const { config, database, clock, monotonic } = app
    const cache = config.identityCache ? identityCache({ clock, monotonic }) : null
    app.decorate('identityCache', cache)
    app.decorate('identities', identities(database, config.tokenableTypes, clock, cache))
    app.decorate('readiness', readiness(isMigrated(database), monotonic))
    const endWatch = database.onLost(() => app.readiness.forget())
    app.addHook('onClose', async () => {
      endWatch()
      await database.close()
    })
  },
  { name: 'database' },
)
