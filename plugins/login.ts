import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { unprocessable } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { equalSecrets } from '../src/auth/secret.ts'
import { type Challenge, isPending, passwordStamp } from '../src/auth/session.ts'
import { noteLogin } from '../src/database/login-addresses.ts'
import { type Credentials, findCredentialsById } from '../src/database/users.ts'
import { refuseBanned } from '../src/login-check.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Logs a user in, in a new session, and remembers the browser if that is wanted.
     *
     * @throws {HttpError} 422 for a user who is banned from everything
     */
    logIn(
      credentials: Pick<Credentials, 'userId' | 'password'>,
      options: { remember: boolean; cause: 'password' | 'code' | 'recovery code' | 'registration' },
    ): Promise<void>
    /**
     * Logs in whoever knows a password, or has the session wait for the second factor.
     *
     * @returns what is still owed
     * @throws {HttpError} 422 for a wrong one, and as `checkPassword`
     */
    enter(
      reply: FastifyReply,
      entered: { email: string; password: string; remember: boolean },
    ): Promise<'nothing' | 'second factor'>
    /**
     * Logs in whoever the session waits for, by one of both codes.
     *
     * @throws {HttpError} 422 for a wrong one and when nobody is waited for, 429 when a limit is used up
     */
    answerChallenge(
      reply: FastifyReply,
      codes: { code: string | null; recoveryCode: string | null },
    ): Promise<void>
    /** Ends the session of whoever is logged in, and forgets the browser. */
    logOut(): Promise<void>
  }
}

/** Adds `request.logIn()`, the only way into an account but by a remembered device, and what leads there. */
export default fp(
  async app => {
    const { kysely } = app.database

    app.decorateRequest(
      'logIn',
      async function (this: FastifyRequest, { userId, password }, { remember, cause }) {
        await refuseBanned(app.identities, userId)
        const login = { userId, password: passwordStamp(password) }
        await noteLogin(kysely, userId, this.clientAddress.key, app.clock())
        await app.devices.forget(this)
        const device = remember ? await app.devices.remember(this, login) : null
        await app.sessions.start(this, { login: { ...login, device } })
        this.record('login', { userId, cause, remember })
      },
    )

    app.decorateRequest(
      'enter',
      async function (this: FastifyRequest, reply: FastifyReply, { email, password, remember }) {
        const credentials = await this.checkPassword(reply, { email, password, as: 'login' })
        if (credentials === null) throw unprocessable({ email: [MESSAGES.wrongCredentials] })
        const { userId, hasSecondFactor } = credentials
        if (!hasSecondFactor) {
          await this.logIn(credentials, { remember, cause: 'password' })
          return 'nothing'
        }
        await app.sessions.start(this, {
          challenge: { userId, password: passwordStamp(credentials.password), remember },
        })
        return 'second factor'
      },
    )

    /** The credentials of whoever owes a second factor, unless they are others by now. */
    const credentialsOf = async ({ userId, password }: Challenge) => {
      const credentials = await findCredentialsById(kysely, userId)
      return credentials !== null && equalSecrets(passwordStamp(credentials.password), password)
        ? credentials
        : null
    }

    app.decorateRequest(
      'answerChallenge',
      async function (this: FastifyRequest, reply: FastifyReply, { code, recoveryCode }) {
        const pending = this.session?.challenge ?? null
        await app.attempts.count(this, reply, 'two_factor', String(pending?.userId ?? 'nobody'))
        const credentials =
          pending !== null && isPending(pending, app.clock()) ? await credentialsOf(pending) : null
        const accepts = async ({ userId }: { userId: number }) => {
          if (recoveryCode !== null) return app.secondFactor.acceptsRecoveryCode(this, userId, recoveryCode)
          return code !== null && (await app.secondFactor.acceptsCode(this, userId, code))
        }
        if (pending === null || credentials === null || !(await accepts(credentials))) {
          throw unprocessable(
            recoveryCode === null
              ? { code: [MESSAGES.wrongCode] }
              : { recovery_code: [MESSAGES.wrongRecoveryCode] },
          )
        }
        await this.logIn(credentials, {
          remember: pending.remember,
          cause: recoveryCode === null ? 'code' : 'recovery code',
        })
      },
    )

    app.decorateRequest('logOut', async function (this: FastifyRequest) {
      const userId = this.identity?.user.id ?? null
      await app.devices.forget(this)
      await app.sessions.start(this)
      this.record('logout', { userId })
    })
  },
  {
    name: 'login',
    dependencies: ['client-address', 'credentials', 'devices', 'events', 'second-factor', 'session'],
  },
)
