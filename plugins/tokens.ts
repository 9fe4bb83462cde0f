import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createLeakReport } from '#src/accounts/leaked-tokens.ts'
import { createTokens, type Tokens } from '#src/accounts/tokens.ts'

declare module 'fastify' {
  interface FastifyInstance {
    tokens: Tokens
    /** Revokes a leaked token if it is valid, and notifies its user. Throws 429. */
    reportLeakedToken(reporter: FastifyRequest, text: string): Promise<void>
  }
}

/** Adds `app.tokens` and `app.reportLeakedToken()`. */
export default fp(
  async app => {
    const { config, clock, random, identities, attempts } = app
    const { kysely } = app.database
    app.decorate('tokens', createTokens({ kysely, config, clock, random }))
    app.decorate(
      'reportLeakedToken',
      createLeakReport<FastifyRequest>({
        kysely,
        identities,
        config,
        attempts,
        notifyOwner: owner => app.mail.notify('tokenLeaked', owner, text => text(owner)),
      }),
    )
  },
  { name: 'tokens', dependencies: ['attempts', 'authority', 'events', 'identify', 'mail'] },
)
