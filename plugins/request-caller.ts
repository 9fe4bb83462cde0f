import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Ability } from '#src/auth/ability.ts'
import type { Identity, SessionIdentity, User } from '#src/auth/identity.ts'
import { unauthenticated } from '#src/responses/errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls. Throws 401 where nobody is known to. */
    caller(): Identity
    /** Who calls in a session. Throws 401 for everybody else. */
    sessionCaller(): SessionIdentity
    /** The user who calls. Throws 401 where nobody is known to. */
    user(): User
    /** Asks again whether the route lets its caller, as the caller is known by now. Throws 401, 403 or 423. */
    requireAccess(): void
    /** Lets only those go on who are neither banned from everything nor owe a second factor. Throws 403. */
    requireStanding(): void
    /** Lets only those go on whose token allows something. Throws 403. */
    requireAbility(ability: Ability): void
    /** Whether the user of the request's session has not confirmed the password lately. A token owes none. */
    owesPassword(): boolean
  }
}

/** Adds what handlers and use-cases ask of a request's caller. */
export default fp(
  async app => {
    const { accessGuard: guard } = app
    app.decorateRequest('caller', function (this: FastifyRequest) {
      if (this.identity === null) throw unauthenticated()
      return this.identity
    })
    app.decorateRequest('sessionCaller', function (this: FastifyRequest) {
      if (this.identity?.via !== 'session') throw unauthenticated()
      return this.identity
    })
    app.decorateRequest('user', function (this: FastifyRequest) {
      return this.caller().user
    })
    app.decorateRequest('requireAccess', function (this: FastifyRequest) {
      guard.requireAccess(this)
    })
    app.decorateRequest('requireStanding', function (this: FastifyRequest) {
      guard.requireStanding(this.identity)
    })
    app.decorateRequest('requireAbility', function (this: FastifyRequest, ability: Ability) {
      guard.requireAbility(this.identity, ability)
    })
    app.decorateRequest('owesPassword', function (this: FastifyRequest) {
      return guard.owesPassword(this.identity)
    })
  },
  { name: 'request-caller', dependencies: ['access', 'identify'] },
)
