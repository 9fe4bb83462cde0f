import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { errorsByField } from '../src/api/account-input.ts'
import { unprocessable } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import type { SessionIdentity } from '../src/auth/identity.ts'
import { hasConfirmedPassword } from '../src/auth/session.ts'
import { confirmPassword } from '../src/database/sessions.ts'
import { changePassword } from '../src/database/users.ts'

type Entered = string | null | undefined

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Remembers in the session that its user has just entered the password.
     *
     * @param field what the password is called where it was entered
     * @throws {HttpError} 422 for a wrong one, and as `checkPassword`
     */
    confirmPassword(reply: FastifyReply, password: Entered, field: string): Promise<void>
    /**
     * Gives the session's user a new password, which ends all of the user's other sessions.
     *
     * @throws {HttpError} 422 for a wrong present one and for a new one that nobody can have, and as `checkPassword`
     */
    changePassword(
      reply: FastifyReply,
      entered: { current: Entered; password: Entered; repeated: Entered; revokeTokens: boolean },
    ): Promise<void>
  }
}

/** Adds what users do with their own passwords in a session. */
export default fp(
  async app => {
    const { config, clock } = app
    const { kysely } = app.database

    const isRight = async (request: FastifyRequest, reply: FastifyReply, password: string) => {
      const { email } = (request.identity as SessionIdentity).user
      return (await request.checkPassword(reply, { email, password, as: 'confirm_password' })) !== null
    }

    app.decorateRequest(
      'confirmPassword',
      async function (this: FastifyRequest, reply: FastifyReply, password, field) {
        const { user, session } = this.identity as SessionIdentity
        if (!(await isRight(this, reply, password ?? ''))) {
          throw unprocessable({ [field]: [MESSAGES.wrongPassword] })
        }
        await confirmPassword(kysely, session.id.digest(), clock())
        this.record('password confirmed', { userId: user.id })
      },
    )

    // What a form brings along instead of a confirmation comes before anything else that it asks for.
    app.addHook('preHandler', (request, reply, done) => {
      const { identity, routeConfig, body } = request
      const isAsked =
        routeConfig.access?.password === 'confirmed or entered' &&
        identity?.via === 'session' &&
        !hasConfirmedPassword(identity.session, clock())
      if (!isAsked) return done()
      const { current_password: password } = (body ?? {}) as { current_password?: Entered }
      request.confirmPassword(reply, password, 'current_password').then(() => done(), done)
    })

    app.decorateRequest(
      'changePassword',
      async function (
        this: FastifyRequest,
        reply: FastifyReply,
        { current, password, repeated, revokeTokens },
      ) {
        const { user, session } = this.identity as SessionIdentity
        const isEntered = typeof current === 'string'
        const ofCurrent = [
          ...(isEntered ? [] : [MESSAGES.rules.required('current password')]),
          ...(isEntered && (await isRight(this, reply, current)) ? [] : [MESSAGES.wrongCurrentPassword]),
        ]
        const ofNew = await app.screening.passwordErrors(password, repeated)
        const errors = errorsByField({ current_password: ofCurrent, password: ofNew })
        if (errors !== null) throw unprocessable(errors)
        await changePassword(kysely, user.id, await app.hashPassword(password as string), {
          keep: session.id.digest(),
          revokeTokens: revokeTokens ? config.tokenableTypes : null,
          now: clock(),
        })
        this.record('password changed', { userId: user.id, revokedTokens: revokeTokens })
        await app.mail.notify('passwordChanged', user)
      },
    )
  },
  { name: 'own-password', dependencies: ['access', 'credentials', 'mail', 'screening'] },
)
