import type { Kysely, Transaction } from 'kysely'
import { type Identity, judgeToken, type TokenLifetimes } from '#src/auth/identity.ts'
import type { SessionLifetimes } from '#src/auth/session.ts'
import { judgeSession } from '#src/auth/stored-session.ts'
import type { TokenCredential } from '#src/auth/token.ts'
import { lockAuthority } from '#src/database/authority.ts'
import type { Identities } from '#src/database/identities.ts'
import type { Schema } from '#src/database/schema.ts'
import { passwordConfirmationRequired, unauthenticated } from '#src/responses/errors.ts'
import type { AuthorizedOptions, AuthorizedWrite, Caller } from './caller.ts'

/** A caller whose authority can be asked again. */
export interface Claimant extends Pick<Caller, 'identity' | 'session' | 'clientAddress' | 'owesPassword'> {
  /** The token that the request came with, if its header has the form of one. */
  bearerCredential(): TokenCredential | null
  /**
   * Asks whether the caller, as known by now, may do what is asked for.
   *
   * @throws {HttpError} 401, 403 or 423
   */
  requireAccess(): void
  /** Whether what is asked for takes a password that was confirmed, or comes along. */
  readonly asksPassword: boolean
}

/** Asks callers' authority again where it is used. */
export interface AuthorityGuard {
  /**
   * Runs a write that gives or takes power: roles, permissions, bans, tokens, sessions, devices, second factors, passwords,
   * e-mail addresses. In one transaction it locks the users, finds out once more who calls and whether the route lets
   * them, and then writes: nothing that was revoked before the commit gives anything, however long the request waited for
   * a password hash, a mail, another service or its own body.
   *
   * Inside, only the transaction may be used. What is kept in memory, recorded or sent comes after it.
   *
   * @throws {HttpError} 401 when the session or token is over by now, 403 and 423 as the route's access says
   */
  authorized<T, I extends Identity>(
    caller: Claimant,
    write: AuthorizedWrite<T, I>,
    options?: AuthorizedOptions,
  ): Promise<T>
}

interface AuthorityOptions {
  kysely: Kysely<Schema>
  identities: Pick<Identities, 'within'>
  config: TokenLifetimes & SessionLifetimes & { tokenableTypes: readonly string[] }
  /** Milliseconds since the epoch. */
  clock(): number
}

/** Makes the {@link AuthorityGuard} of a server. */
export function createAuthority({ kysely, identities, config, clock }: AuthorityOptions): AuthorityGuard {
  /** Who calls, by what the transaction sees. */
  const identifyWithin = async (
    caller: Claimant,
    transaction: Transaction<Schema>,
    known: Identity,
  ): Promise<Identity | null> => {
    const present = identities.within(transaction)
    if (known.via === 'session') {
      const { id } = known.session
      const verdict = judgeSession(id, await present.session(id.digest()), clock(), config)
      if (typeof verdict === 'string') return null
      caller.session = verdict.session
      return verdict.identity
    }
    const credential = caller.bearerCredential()
    if (credential === null) return null
    const stored = await present.token(credential)
    const verdict = judgeToken(credential, stored, clock(), config, caller.clientAddress.ip)
    return typeof verdict === 'string' ? null : verdict
  }

  return {
    async authorized<T, I extends Identity>(
      caller: Claimant,
      write: AuthorizedWrite<T, I>,
      { subjectId, changesRoles, confirmsPassword = false }: AuthorizedOptions = {},
    ) {
      const known = caller.identity
      if (known === null) throw unauthenticated()
      return kysely.transaction().execute(async transaction => {
        await lockAuthority(transaction, {
          userId: known.user.id,
          credential:
            known.via === 'session' ? { session: known.session.id.digest() } : { tokenId: known.token.id },
          subjectId,
          changesRoles,
          types: config.tokenableTypes,
        })
        const identity = await identifyWithin(caller, transaction, known)
        if (identity === null || identity.user.id !== known.user.id) throw unauthenticated()
        caller.identity = identity
        caller.requireAccess()
        if (caller.asksPassword && !confirmsPassword && caller.owesPassword()) {
          throw passwordConfirmationRequired()
        }
        return write(transaction, identity as I)
      })
    },
  }
}
