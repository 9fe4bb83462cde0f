import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { unauthenticated, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { confirmSession } from '#src/database/logins.ts'
import { changePassword } from '#src/database/passwords.ts'
import { type Credentials, findCredentialsById } from '#src/database/users.ts'
import { errorsByField } from '#src/input/account.ts'

type Entered = string | null | undefined

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Remembers in the session that its user has just entered the password. The session gets a new id: one that was
     * stolen before opens nothing more (session fixation, OWASP ASVS 3.2.1).
     *
     * @param field what the password is called where it was entered
     * @throws {HttpError} 422 for a wrong one, and as `checkPassword`
     */
    confirmPassword(reply: FastifyReply, password: Entered, field: string): Promise<void>
    /**
     * Gives the session's user a new password, which ends all of the user's other sessions. This one gets a new id, as
     * by {@link confirmPassword}: a copy of its cookie opens nothing more.
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

    /** The credentials of the session's user; null for a wrong password. */
    const check = (request: FastifyRequest, reply: FastifyReply, password: string) => {
      const { email } = (request.identity as SessionIdentity).user
      return request.checkPassword(reply, { email, password, as: 'confirm_password' })
    }

    app.decorateRequest(
      'confirmPassword',
      async function (this: FastifyRequest, reply: FastifyReply, password, field) {
        const wrong = unprocessable({ [field]: [MESSAGES.wrongPassword] })
        const verified = await check(this, reply, password ?? '')
        if (verified === null) throw wrong
        const { fresh } = app.sessions.next(this)
        const { identity, confirmed } = await this.authorized(
          async (transaction, identity: SessionIdentity) => {
            const present = await findCredentialsById(transaction, identity.user.id)
            if (present?.password !== verified.password) throw wrong
            return {
              identity,
              confirmed: await confirmSession(transaction, identity.session, present, fresh),
            }
          },
          { confirmsPassword: true },
        )
        app.sessions.adopt(this, confirmed)
        this.identity = { ...identity, session: confirmed }
        this.record('password confirmed', { userId: identity.user.id })
      },
    )

    // What a form brings along instead of a confirmation comes before anything else that it asks for.
    app.addStep('preHandler', {
      appliesTo: route => route?.config.access?.password === 'confirmed or entered',
      run(request, reply) {
        if (!request.owesPassword()) return
        const { current_password: password } = (request.body ?? {}) as { current_password?: Entered }
        return request.confirmPassword(reply, password, 'current_password')
      },
    })

    app.decorateRequest(
      'changePassword',
      async function (
        this: FastifyRequest,
        reply: FastifyReply,
        { current, password, repeated, revokeTokens },
      ) {
        const isEntered = typeof current === 'string'
        const verified = isEntered ? await check(this, reply, current) : null
        const ofCurrent = [
          ...(isEntered ? [] : [MESSAGES.rules.required('current password')]),
          ...(verified === null ? [MESSAGES.wrongCurrentPassword] : []),
        ]
        const { user: owner } = this.identity as SessionIdentity
        const ofNew = await app.screening.passwords.errors(password, repeated, owner)
        const errors = errorsByField({ current_password: ofCurrent, password: ofNew })
        if (errors !== null) throw unprocessable(errors)
        const hash = await app.hashPassword(this, password as string)
        const { fresh } = app.sessions.next(this)
        const { identity, changed } = await this.authorized(
          async (transaction, identity: SessionIdentity) => {
            const { user, session } = identity
            const present = await findCredentialsById(transaction, user.id)
            // Another change of the password was made while this one was hashed.
            if (present?.password !== (verified as Credentials).password) throw unauthenticated()
            await changePassword(transaction, user.id, hash, {
              keep: session.id.digest(),
              revokeTokens: revokeTokens ? config.tokenableTypes : null,
              now: clock(),
            })
            return {
              identity,
              changed: await confirmSession(transaction, session, { ...present, password: hash }, fresh),
            }
          },
        )
        app.sessions.adopt(this, changed)
        this.identity = { ...identity, session: changed }
        this.record('password changed', { userId: identity.user.id, revokedTokens: revokeTokens })
      },
    )
  },
  {
    name: 'own-password',
    dependencies: ['authority', 'credentials', 'events', 'screening', 'sent-once', 'steps'],
  },
)
