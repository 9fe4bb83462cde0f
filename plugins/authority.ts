import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Transaction } from 'kysely'
import { passwordConfirmationRequired, unauthenticated } from '#src/answers/errors.ts'
import { type Identity, judgeToken } from '#src/auth/identity.ts'
import { judgeSession } from '#src/auth/stored-session.ts'
import { bearerCredential } from '#src/auth/token.ts'
import { lockAuthority } from '#src/database/authority.ts'
import type { Schema } from '#src/database/schema.ts'

/** A write that needs the caller's authority, with that as it is under lock. */
type AuthorizedWrite<T, I extends Identity> = (transaction: Transaction<Schema>, identity: I) => Promise<T>

interface AuthorizedOptions {
  /** The id of somebody else to whom something is done. */
  subjectId?: number
  /** Whether the write changes what roles mean. */
  changesRoles?: boolean
  /** Whether it confirms the password that the route asks for, and so cannot need it. */
  confirmsPassword?: boolean
}

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
  }
}

/** Adds `request.authorized()`, in which the caller's authority is asked again under lock. */
export default fp(
  async app => {
    const { config, clock, database, identities } = app

    /** Who calls, by what the transaction sees. */
    const identifyWithin = async (
      request: FastifyRequest,
      transaction: Transaction<Schema>,
      identity: Identity,
    ): Promise<Identity | null> => {
      const present = identities.within(transaction)
      if (identity.via === 'session') {
        const { id } = identity.session
        const verdict = judgeSession(id, await present.session(id.digest()), clock(), config)
        if (typeof verdict === 'string') return null
        request.session = verdict.session
        return verdict.identity
      }
      const credential = bearerCredential(request.headers.authorization ?? '')
      if (credential === null) return null
      const verdict = judgeToken(
        credential,
        await present.token(credential),
        clock(),
        config,
        request.clientAddress.ip,
      )
      return typeof verdict === 'string' ? null : verdict
    }

    app.decorateRequest('authorized', async function <
      T,
      I extends Identity,
    >(this: FastifyRequest, write: AuthorizedWrite<T, I>, { subjectId, changesRoles, confirmsPassword = false }: AuthorizedOptions = {}) {
      const known = this.identity
      if (known === null) throw unauthenticated()
      return database.kysely.transaction().execute(async transaction => {
        await lockAuthority(transaction, {
          userId: known.user.id,
          credential:
            known.via === 'session' ? { session: known.session.id.digest() } : { tokenId: known.token.id },
          subjectId,
          changesRoles,
          types: config.tokenableTypes,
        })
        const identity = await identifyWithin(this, transaction, known)
        if (identity === null || identity.user.id !== known.user.id) throw unauthenticated()
        this.identity = identity
        this.requireAccess()
        if (this.routeConfig.access?.password !== undefined && !confirmsPassword && this.owesPassword()) {
          throw passwordConfirmationRequired()
        }
        return write(transaction, identity as I)
      })
    })
  },
  { name: 'authority', dependencies: ['access', 'database', 'identify'] },
)
