import fp from 'fastify-plugin'
import { type Browsers, createBrowsers } from '#src/accounts/browsers.ts'

declare module 'fastify' {
  interface FastifyInstance {
    browsers: Browsers
  }
}

/** Adds `app.browsers`: sessions and remembered devices of users. */
export default fp(
  async app => {
    const { config, clock, database } = app
    app.decorate('browsers', createBrowsers({ kysely: database.kysely, config, clock }))
  },
  { name: 'browsers', dependencies: ['authority', 'database', 'events'] },
)
