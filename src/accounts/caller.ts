import type { Transaction } from 'kysely'
import type { EventDetails, EventName } from '#src/auth/events.ts'
import type { Identity, SessionIdentity } from '#src/auth/identity.ts'
import type { Session } from '#src/auth/session.ts'
import type { Browser } from '#src/database/browsers.ts'
import type { Schema } from '#src/database/schema.ts'
import type { ClientAddress } from '#src/limits/client-address.ts'

/** What else has to be known before a write that gives or takes power. */
export interface AuthorizedOptions {
  /** The id of somebody else to whom something is done. */
  subjectId?: number
  /** Whether the write changes what roles mean. */
  changesRoles?: boolean
  /** Whether it confirms the password that the route asks for, and so cannot need it. */
  confirmsPassword?: boolean
}

/** A write that needs the caller's authority, with that as it is under lock. */
export type AuthorizedWrite<T, I extends Identity> = (
  transaction: Transaction<Schema>,
  identity: I,
) => Promise<T>

/** Where somebody asks from. */
export interface Origin {
  readonly clientAddress: ClientAddress
  readonly userAgent: string | undefined
}

/** What is stored of the browser that somebody asks from. */
export const browserOf = ({ clientAddress, userAgent }: Origin): Browser => ({
  address: clientAddress.ip,
  userAgent,
})

/** Keeps what happens to accounts. */
export interface Recorder {
  /**
   * Records what happened to an account, and from where.
   *
   * @param details whose account it is, null for nobody's; `by`, the id of whoever did it, if that is somebody else; and
   *   what else there is to know: never a secret
   */
  record(event: EventName, details: EventDetails & { userId: number | null; by?: number }): void
}

/**
 * Whoever asks for a use-case by HTTP: every request is one. Use-cases know requests by this alone, so that they depend on
 * nothing of Fastify's.
 */
export interface Caller extends Origin, Recorder {
  /** Who calls; null when nobody is known to. Replaced when a use-case changes it. */
  identity: Identity | null
  /** The session that the request came with, or was given; null as long as there is none. */
  session: Session | null
  /** The connection, while which lives the caller waits. */
  readonly connection: { readonly destroyed: boolean }
  /** Tells the caller how many attempts are left of a limit. */
  tellAttempts(limit: { max: number; remaining: number }): void
  /** Who calls in a session. Throws 401 for everybody else. */
  sessionCaller(): SessionIdentity
  /** Whether the user of the session has not confirmed the password lately. A token owes none. */
  owesPassword(): boolean
  /**
   * Runs a write that gives or takes power, in one transaction that finds out under lock who calls and whether they may.
   *
   * @throws {HttpError} 401 when the session or token is over by now, 403 and 423 as the route's access says
   */
  authorized<T, I extends Identity = Identity>(
    write: AuthorizedWrite<T, I>,
    options?: AuthorizedOptions,
  ): Promise<T>
  /**
   * Has something done once the request is answered: what must not be told by the time that an answer takes.
   *
   * @param failure what is logged when it fails
   * @throws {HttpError} 503 when too much waits already
   */
  afterAnswer(work: () => Promise<unknown>, failure: string): void
}
