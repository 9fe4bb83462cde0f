import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createAuthority } from '#src/accounts/authority.ts'
import type { Caller } from '#src/accounts/caller.ts'
import { bearerCredential, type TokenCredential } from '#src/auth/token.ts'

declare module 'fastify' {
  interface FastifyRequest extends Pick<Caller, 'authorized'> {
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
  { name: 'authority', dependencies: ['request-caller', 'database', 'identify'] },
)
