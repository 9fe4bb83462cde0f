import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Ability } from '#src/auth/ability.ts'
import type { Identity, SessionIdentity, User } from '#src/auth/identity.ts'
import { unauthenticated } from '#src/responses/errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Returns the authenticated caller. Throws 401 for guests. */
    caller(): Identity
    /** Returns the caller of a session. Throws 401 for guests and tokens. */
    sessionCaller(): SessionIdentity
    /** Returns the authenticated user. Throws 401 for guests. */
    user(): User
    /** Checks the route's access again, for the current identity. Throws 401, 403 or 423. */
    requireAccess(): void
    /** Refuses users who are banned from everything or must set up a second factor first. Throws 403. */
    requireUnrestricted(): void
    /** Refuses tokens without an ability. Throws 403. */
    requireAbility(ability: Ability): void
    /** Whether the caller must confirm the password first. Always false for tokens. */
    owesPassword(): boolean
  }
}

/** Adds the checks of a request's caller that handlers and use-cases use. */
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
    app.decorateRequest('requireUnrestricted', function (this: FastifyRequest) {
      guard.requireUnrestricted(this.identity)
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
