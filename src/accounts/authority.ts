import type { Kysely } from 'kysely'
import { type Identity, type TokenLifetimes, validateToken } from '#src/auth/identity.ts'
import type { SessionLifetimes } from '#src/auth/session.ts'
import { validateSession } from '#src/auth/stored-session.ts'
import type { TokenCredential } from '#src/auth/token.ts'
import { lockAuthority } from '#src/database/authority.ts'
import type { Identities } from '#src/database/identities.ts'
import type { Schema } from '#src/database/schema.ts'
import { passwordConfirmationRequired, unauthenticated } from '#src/responses/errors.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { AuthorizedOptions, AuthorizedWrite, Caller } from './caller.ts'

/** A caller whose authority can be checked again. */
export interface AuthorizableCaller
  extends Pick<Caller, 'identity' | 'session' | 'clientAddress' | 'owesPassword'> {
  /** The token of the request's Authorization header; null if it is absent or malformed. */
  bearerCredential(): TokenCredential | null
  /**
   * Checks the route's access against the caller's identity.
   *
   * @throws {HttpError} 401, 403 or 423
   */
  requireAccess(): void
  /** Whether the route requires a confirmed password, or the password in the request. */
  readonly requiresPassword: boolean
}

/** Checks the caller's authority again. */
export interface AuthorityGuard {
  /**
   * Authenticates the caller again, checks the route's access again, and replaces the caller's identity. Without locks:
   * for reads that take long.
   *
   * @throws {HttpError} 401 when the session or token has ended; 403 and 423 according to the route's access
   */
  recheck(caller: AuthorizableCaller): Promise<void>
  /**
   * Runs a security-relevant write (roles, permissions, bans, tokens, sessions, devices, second factors, passwords,
   * e-mail addresses) in one transaction. It locks the users, authenticates the caller again, checks the route's
   * access again, and then writes. So a token, session or permission that was revoked before the commit grants
   * nothing, even if the request waited for a password hash, a mail, another service or its own body (time of check
   * to time of use).
   *
   * `write` may use only the given transaction. Caches, events and mails are updated after it.
   *
   * @throws {HttpError} 401 when the session or token has ended; 403 and 423 according to the route's access
   */
  authorized<T, I extends Identity>(
    caller: AuthorizableCaller,
    write: AuthorizedWrite<T, I>,
    options?: AuthorizedOptions,
  ): Promise<T>
}

interface AuthorityOptions {
  kysely: Kysely<Schema>
  identities: Pick<Identities, 'within' | 'session' | 'token'>
  config: TokenLifetimes & SessionLifetimes & { tokenableTypes: readonly string[] }
  clock(): EpochMillis
}

/** Creates the {@link AuthorityGuard} of a server. */
export function createAuthority({ kysely, identities, config, clock }: AuthorityOptions): AuthorityGuard {
  /** Authenticates the caller again, by the rows that the lookups see. */
  const reauthenticate = async (
    caller: AuthorizableCaller,
    rows: Pick<Identities, 'session' | 'token'>,
    previous: Identity,
  ): Promise<Identity | null> => {
    if (previous.via === 'session') {
      const { id } = previous.session
      const outcome = validateSession(id, await rows.session(id.digest()), clock(), config)
      if (typeof outcome === 'string') return null
      caller.session = outcome.session
      return outcome.identity
    }
    const credential = caller.bearerCredential()
    if (credential === null) return null
    const stored = await rows.token(credential)
    const outcome = validateToken(credential, stored, clock(), config, caller.clientAddress.ip)
    return typeof outcome === 'string' ? null : outcome
  }

  /** @throws {HttpError} 401, 403 or 423 */
  const requireAuthority = async (
    caller: AuthorizableCaller,
    rows: Pick<Identities, 'session' | 'token'>,
    previous: Identity,
    confirmsPassword: boolean,
  ): Promise<Identity> => {
    const identity = await reauthenticate(caller, rows, previous)
    if (identity === null || identity.user.id !== previous.user.id) throw unauthenticated()
    caller.identity = identity
    caller.requireAccess()
    if (caller.requiresPassword && !confirmsPassword && caller.owesPassword()) {
      throw passwordConfirmationRequired()
    }
    return identity
  }

  return {
    async recheck(caller) {
      if (caller.identity === null) throw unauthenticated()
      await requireAuthority(caller, identities, caller.identity, false)
    },
    async authorized<T, I extends Identity>(
      caller: AuthorizableCaller,
      write: AuthorizedWrite<T, I>,
      { targetUserId, changesRoles, confirmsPassword = false }: AuthorizedOptions = {},
    ) {
      const previous = caller.identity
      if (previous === null) throw unauthenticated()
      return kysely.transaction().execute(async transaction => {
        await lockAuthority(transaction, {
          userId: previous.user.id,
          credential:
            previous.via === 'session'
              ? { session: previous.session.id.digest() }
              : { tokenId: previous.token.id },
          targetUserId,
          changesRoles,
          types: config.tokenableTypes,
        })
        const rows = identities.within(transaction)
        const identity = await requireAuthority(caller, rows, previous, confirmsPassword)
        return write(transaction, identity as I)
      })
    },
  }
}
