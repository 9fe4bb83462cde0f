import type { Transaction } from 'kysely'
import type { EventDetails, EventName } from '#src/auth/events.ts'
import type { Identity, SessionIdentity } from '#src/auth/identity.ts'
import type { Session } from '#src/auth/session.ts'
import type { Browser } from '#src/database/browsers.ts'
import type { Schema } from '#src/database/schema.ts'
import { type ClientAddress, displayedAddress } from '#src/limits/client-address.ts'

/** Options of a security-relevant write. */
export interface AuthorizedOptions {
  /** The id of another user whom the write affects, and whose row is locked as well. */
  targetUserId?: number
  /** Whether the write changes the permissions of roles. */
  changesRoles?: boolean
  /** Whether the write itself confirms the password, so that the route's password requirement does not apply to it. */
  confirmsPassword?: boolean
}

/** A write that needs the caller's authority. It receives the identity that was read under lock. */
export type AuthorizedWrite<T, I extends Identity> = (
  transaction: Transaction<Schema>,
  identity: I,
) => Promise<T>

/** Where a request comes from. */
export interface Origin {
  readonly clientAddress: ClientAddress
  readonly userAgent: string | undefined
}

/** The caller's browser, as it is stored and shown to the user. */
export const browserOf = ({ clientAddress, userAgent }: Origin): Browser => ({
  address: displayedAddress(clientAddress),
  userAgent,
})

/** Records events of accounts. */
export interface Recorder {
  /**
   * Records an event, and where it came from.
   *
   * @param details `userId` is the account's user, null if there is none; `by` is the id of the user who caused the
   *   event, if that is another user; further details must not contain a secret
   */
  record(event: EventName, details: EventDetails & { userId: number | null; by?: number }): void
}

/** A caller of use-cases over HTTP. Requests implement it, so that use-cases do not depend on Fastify. */
export interface Caller extends Origin, Recorder {
  /** The authenticated caller; null for a guest. Use-cases replace it when they change it. */
  identity: Identity | null
  /** The session of the request, or the one that it was given; null for none. */
  session: Session | null
  /** The client's connection: work for a client that has disconnected can be skipped. */
  readonly connection: { readonly destroyed: boolean }
  /** Reports the remaining attempts of a limit to the client. */
  reportRemainingAttempts(limit: { max: number; remaining: number }): void
  /**
   * Returns the identity of a session.
   *
   * @throws {HttpError} 401 for a guest and for a token
   */
  sessionCaller(): SessionIdentity
  /** Whether the session's user has not confirmed the password recently. Always false for a token. */
  owesPassword(): boolean
  /**
   * Runs a security-relevant write in a transaction that checks the caller's identity and access again under lock.
   *
   * @throws {HttpError} 401 when the session or token has ended; 403 and 423 according to the route's access
   */
  authorized<T, I extends Identity = Identity>(
    write: AuthorizedWrite<T, I>,
    options?: AuthorizedOptions,
  ): Promise<T>
  /**
   * Runs work after the response was sent, so that the response time reveals nothing about it.
   *
   * @param failure the log message for a failure
   * @throws {HttpError} 503 when too much work is waiting
   */
  afterResponse(work: () => Promise<unknown>, failure: string): void
}
