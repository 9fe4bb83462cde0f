import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createAuthority } from '#src/accounts/authority.ts'
import type { AuthorizedOptions, AuthorizedWrite } from '#src/accounts/caller.ts'
import type { Identity } from '#src/auth/identity.ts'
import { bearerCredential, type TokenCredential } from '#src/auth/token.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Runs a write that gives or takes power: roles, permissions, bans, tokens, sessions, devices, second factors,
     * passwords, e-mail addresses. In one transaction it locks the users, finds out once more who calls and whether the
     * route lets them, and then writes: nothing that was revoked before the commit gives anything, however long the
     * request waited for a password hash, a mail, another service or its own body.
     *
     * Inside, only the transaction may be used. What is kept in memory, recorded or sent comes after it.
     *
     * @throws {HttpError} 401 when the session or token is over by now, 403 and 423 as the route's access says
     */
    authorized<T, I extends Identity = Identity>(
      write: AuthorizedWrite<T, I>,
      options?: AuthorizedOptions,
    ): Promise<T>
    /** The token that came along, if the header has the form of one. */
    bearerCredential(): TokenCredential | null
    /** Whether the route asks for a password that was confirmed. */
    readonly asksPassword: boolean
  }
}

/** Adds `request.authorized()`, in which the caller's authority is asked again under lock. */
export default fp(
  async app => {
    const { config, clock, database, identities } = app
    const authority = createAuthority({ kysely: database.kysely, identities, config, clock })

    app.decorateRequest('bearerCredential', function (this: FastifyRequest) {
      return bearerCredential(this.headers.authorization ?? '')
    })
    app.decorateRequest('asksPassword', {
      getter(this: FastifyRequest) {
        return this.routeConfig.access?.password !== undefined
      },
    })
    app.decorateRequest('authorized', function (this: FastifyRequest, write, options) {
      return authority.authorized(this, write, options)
    })
  },
  { name: 'authority', dependencies: ['access', 'database', 'identify'] },
)
