import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type AuthorityGuard, createAuthority } from '#src/accounts/authority.ts'
import type { Caller } from '#src/accounts/caller.ts'
import { bearerCredential, type TokenCredential } from '#src/auth/token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    authority: AuthorityGuard
  }
  interface FastifyRequest extends Pick<Caller, 'authorized'> {
    /** Returns the token of the `Authorization` header; null if it is not well-formed. */
    bearerCredential(): TokenCredential | null
    /** Whether the route requires password confirmation. */
    readonly requiresPassword: boolean
  }
}

/** Adds `app.authority` and `request.authorized()`, which reads the caller's authority again under lock before a write. */
export default fp(
  async app => {
    const { config, clock, database, identities } = app
    const authority = createAuthority({ kysely: database.kysely, identities, config, clock })
    app.decorate('authority', authority)

    app.decorateRequest('bearerCredential', function (this: FastifyRequest) {
      return bearerCredential(this.headers.authorization ?? '')
    })
    app.decorateRequest('requiresPassword', {
      getter(this: FastifyRequest) {
        return this.routeConfig.access?.password !== undefined
      },
    })
    app.decorateRequest('authorized', function (this: FastifyRequest, write, options) {
      return authority.authorized(this, write, options)
    })
  },
  { name: 'authority', dependencies: ['request-caller', 'database', 'identify'] },
)
