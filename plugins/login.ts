import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { passwordStamp } from '../src/auth/session.ts'
import { noteLogin } from '../src/database/login-addresses.ts'
import type { Credentials } from '../src/database/users.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Logs a user in, in a new session, and remembers the browser if that is wanted. */
    logIn(
      credentials: Pick<Credentials, 'userId' | 'password'>,
      options: { remember: boolean; cause: 'password' | 'code' | 'recovery code' | 'registration' },
    ): Promise<void>
  }
}

/** Adds `request.logIn()`: the only way into an account but by a remembered device. */
export default fp(
  async app => {
    app.decorateRequest(
      'logIn',
      async function (this: FastifyRequest, { userId, password }, { remember, cause }) {
        const login = { userId, password: passwordStamp(password) }
        await noteLogin(app.database.kysely, userId, this.clientAddress.key, app.clock())
        await app.devices.forget(this)
        const device = remember ? await app.devices.remember(this, login) : null
        await app.sessions.start(this, { login: { ...login, device } })
        this.record('login', { userId, cause, remember })
      },
    )
  },
  { name: 'login', dependencies: ['client-address', 'devices', 'events'] },
)
