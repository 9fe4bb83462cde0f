import fp from 'fastify-plugin'
import { createSecondFactor, type SecondFactor } from '#src/accounts/second-factor.ts'

declare module 'fastify' {
  interface FastifyInstance {
    secondFactor: SecondFactor
  }
}

/** Adds `app.secondFactor`. */
export default fp(
  async app => {
    const { config, database, clock, random, keys, log, attempts } = app
    app.decorate(
      'secondFactor',
      createSecondFactor({ config, kysely: database.kysely, clock, random, keys, log, attempts }),
    )
  },
  { name: 'second-factor', dependencies: ['attempts', 'authority', 'events', 'keys'] },
)
