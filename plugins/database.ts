import fp from 'fastify-plugin'
import { createIdentityCache, type IdentityCache } from '#src/auth/identity-cache.ts'
import { type Identities, identities } from '#src/database/identities.ts'
import { migrationCheck } from '#src/database/migrate.ts'
import { type Readiness, readiness } from '#src/database/readiness.ts'

declare module 'fastify' {
  interface FastifyInstance {
    identities: Identities
    /** The cache of identities; null with IDENTITY_CACHE=off. */
    identityCache: IdentityCache | null
    /** Whether the database is reachable and migrated. Cached for a second. */
    readiness: Readiness
  }
}

/** Adds `app.identities` and `app.readiness`. Closes the database with the app, after all plugins that write to it. */
export default fp(
  async app => {
    const { config, database, clock, monotonic } = app
    const cache = config.identityCache ? createIdentityCache({ clock, monotonic }) : null
    app.decorate('identityCache', cache)
    app.decorate('identities', identities(database, config.tokenableTypes, clock, cache))
    app.decorate('readiness', readiness(migrationCheck(database), monotonic))
    const endWatch = database.onLost(() => app.readiness.forget())
    app.addHook('onClose', async () => {
      endWatch()
      await database.close()
    })
  },
  { name: 'database' },
)
