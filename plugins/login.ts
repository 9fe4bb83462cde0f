import fp from 'fastify-plugin'
import { createLogin, type Login } from '#src/accounts/login.ts'
import { createTokenLogin, type TokenLogin } from '#src/accounts/token-login.ts'

declare module 'fastify' {
  interface FastifyInstance {
    login: Login
    tokenLogin: TokenLogin
  }
}

/** Adds `app.login` and `app.tokenLogin`. */
export default fp(
  async app => {
    const {
      config,
      clock,
      sessions,
      devices,
      openedLinks,
      identities,
      attempts,
      credentials,
      secondFactor,
      tokens,
    } = app
    const kysely = app.database.logins
    const verification = { kysely, clock, identities, attempts, credentials, secondFactor }
    app.decorate('login', createLogin({ ...verification, config, sessions, devices, openedLinks }))
    app.decorate('tokenLogin', createTokenLogin({ ...verification, tokens }))
  },
  { name: 'login', dependencies: ['credentials', 'events', 'second-factor', 'sessions', 'tokens'] },
)
