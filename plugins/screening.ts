import fp from 'fastify-plugin'
import { createScreening, type Screening } from '#src/accounts/screening.ts'

declare module 'fastify' {
  interface FastifyInstance {
    screening: Screening
  }
}

/** Adds `app.screening`. */
export default fp(
  async app => {
    const { config, database, clock, log } = app
    const moderations = app.countersOf('moderations')
    app.decorate('screening', createScreening({ config, kysely: database.kysely, clock, moderations, log }))
  },
  { name: 'screening', dependencies: ['counters', 'database'] },
)
