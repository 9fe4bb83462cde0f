import fp from 'fastify-plugin'
import { type Identities, identities } from '../src/database/identities.ts'

declare module 'fastify' {
  interface FastifyInstance {
    identities: Identities
  }
}

/**
 * Adds `app.identities`, and closes the database when the app closes, after everything that still writes to it.
 */
export default fp(
  async app => {
    app.decorate('identities', identities(app.database, app.config.tokenableTypes, app.clock))
    app.addHook('onClose', () => app.database.close())
  },
  { name: 'database' },
)
