import fp from 'fastify-plugin'
import { createLogin, type Login } from '#src/accounts/login.ts'

declare module 'fastify' {
  interface FastifyInstance {
    login: Login
  }
}

/** Adds `app.login`. */
export default fp(
  async app => {
    const { database, clock, sessions, devices, identities, attempts, credentials, secondFactor } = app
    app.decorate(
      'login',
      createLogin({
        kysely: database.logins,
        clock,
        sessions,
        devices,
        identities,
        attempts,
        credentials,
        secondFactor,
      }),
    )
  },
  { name: 'login', dependencies: ['credentials', 'events', 'second-factor', 'sessions'] },
)
