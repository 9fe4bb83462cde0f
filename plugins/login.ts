import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { refuseBanned } from '#src/accounts/login-check.ts'
import { unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { equalSecrets } from '#src/auth/secret.ts'
import { isPending, passwordStamp, type Session } from '#src/auth/session.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import {
  type LoginBrowser,
  storeChallenge,
  storeLogin,
  storeLogout,
  underLoginLock,
} from '#src/database/logins.ts'
import { takeChallenge } from '#src/database/sessions.ts'
import type { Credentials } from '#src/database/users.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Logs a user in who has just registered, and remembers the browser if that is wanted. */
    enterAsNew(user: Pick<Credentials, 'userId' | 'password'>, options: { remember: boolean }): Promise<void>
    /**
     * Logs in whoever knows a password, or has the session wait for the second factor.
     *
     * @returns what is still owed
     * @throws {HttpError} 422 for a wrong one and for a user who is banned from everything, and as `checkPassword`
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

/**
 * Adds the ways into an account, but for remembered devices. Each of them verifies first and then decides once more in
 * the transaction that stores the session, under the user's lock: see {@link underLoginLock}.
 */
export default fp(
  async app => {
    const { clock } = app
    const { logins: kysely } = app.database

    // Logins of one user wait for that user's row here: in the database they would occupy all connections for logins.
    const inTurn = keyedMutex()

    const browserOfLogin = (request: FastifyRequest): LoginBrowser => ({
      ...app.sessions.next(request),
      address: request.clientAddress.key,
      presented: app.devices.presented(request),
    })

    /** Stores a login, of which the answer brings the cookies. */
    const logIn = async <Refusal extends string>(
      request: FastifyRequest,
      { userId, remember }: { userId: number; remember: boolean },
      decide: (
        transaction: Parameters<typeof storeLogin>[0],
        credentials: Credentials | null,
        browser: LoginBrowser,
      ) => Promise<Credentials | Session | Refusal>,
    ): Promise<'logged in' | 'challenged' | Refusal> => {
      const browser = browserOfLogin(request)
      const device = remember ? app.devices.mint() : null
      const outcome = await inTurn(userId, () =>
        underLoginLock(kysely, { userId, ...browser }, async (transaction, credentials) => {
          const decision = await decide(transaction, credentials, browser)
          if (typeof decision === 'string' || 'id' in decision) return decision
          await refuseBanned(app.identities.within(transaction), userId)
          return storeLogin(transaction, decision, browser, device)
        }),
      )
      if (typeof outcome === 'string') return outcome
      app.sessions.adopt(request, outcome)
      if (outcome.userId === null) return 'challenged'
      app.devices.send(request, device)
      return 'logged in'
    }

    app.decorateRequest(
      'enterAsNew',
      async function (this: FastifyRequest, { userId, password }, { remember }) {
        const outcome = await logIn(this, { userId, remember }, async (_transaction, credentials) =>
          credentials?.password === password ? credentials : 'gone',
        )
        if (outcome === 'logged in') this.record('login', { userId, cause: 'registration', remember })
      },
    )

    app.decorateRequest(
      'enter',
      async function (this: FastifyRequest, reply: FastifyReply, { email, password, remember }) {
        const verified = await this.checkPassword(reply, { email, password, as: 'login' })
        if (verified === null) throw unprocessable({ email: [MESSAGES.wrongCredentials] })
        const { userId } = verified
        const outcome = await logIn(this, { userId, remember }, async (transaction, credentials, browser) => {
          if (credentials?.password !== verified.password) return 'changed'
          if (!credentials.hasSecondFactor) return credentials
          const stamp = passwordStamp(credentials.password)
          return storeChallenge(transaction, browser, { userId, password: stamp, remember })
        })
        if (outcome === 'changed') throw unprocessable({ email: [MESSAGES.wrongCredentials] })
        if (outcome === 'challenged') return 'second factor'
        this.record('login', { userId, cause: 'password', remember })
        return 'nothing'
      },
    )

    app.decorateRequest(
      'answerChallenge',
      async function (this: FastifyRequest, reply: FastifyReply, { code, recoveryCode }) {
        const { session } = this
        const pending = session?.challenge ?? null
        const account = String(pending?.userId ?? 'nobody')
        await app.attempts.count(this, reply, 'two_factor', account)
        const cause = recoveryCode === null ? 'code' : 'recovery code'
        const wrong = unprocessable(
          recoveryCode === null
            ? { code: [MESSAGES.wrongCode] }
            : { recovery_code: [MESSAGES.wrongRecoveryCode] },
        )
        if (session === null || pending === null || !isPending(pending, clock())) throw wrong
        const { userId, remember } = pending

        /** Takes the challenge, so that it leads to one session, and uses the code up, if it is right. */
        const answer = () =>
          logIn(this, { userId, remember }, async (transaction, credentials) => {
            const taken = await takeChallenge(transaction, session.id.digest())
            if (taken?.userId !== userId || credentials === null) return 'over'
            if (!equalSecrets(passwordStamp(credentials.password), taken.password)) return 'over'
            const proof = { code, recoveryCode }
            return (await app.secondFactor.accepts(transaction, userId, proof)) ? credentials : 'wrong'
          })
        let outcome = 'over' as Awaited<ReturnType<typeof answer>>
        await app.attempts.judge(this, 'two_factor', {
          account,
          userId,
          async verify() {
            outcome = await answer()
            return outcome !== 'wrong'
          },
        })
        if (outcome === 'wrong') this.record('wrong code', { userId, cause })
        if (outcome !== 'logged in') throw wrong
        this.record('login', { userId, cause, remember })
      },
    )

    app.decorateRequest('logOut', async function (this: FastifyRequest) {
      const { user } = this.identity as SessionIdentity
      app.sessions.adopt(this, await storeLogout(kysely, user.id, browserOfLogin(this)))
      app.devices.send(this, null)
      this.record('logout', { userId: user.id })
    })
  },
  {
    name: 'login',
    dependencies: ['client-address', 'credentials', 'events', 'second-factor', 'sessions'],
  },
)
