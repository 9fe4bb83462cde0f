import type { Kysely, Transaction } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import type { Schema } from '#src/database/schema.ts'
import type { AuthorizedOptions, Recorder } from './caller.ts'
import type { Events } from './events.ts'

/** The authority of an operator who acts for a user. */
export interface OperatorAuthority {
  via: 'operator'
  /** The account's user. */
  user: { readonly id: number }
}

/** The authority of a user whose password, and second factor, were just verified for a token. */
export interface LoginAuthority {
  via: 'login'
  user: Identity['user']
}

/** The authority of a write: the caller's identity, read under lock, or an operator's. */
export type Authority = Identity | OperatorAuthority

/**
 * Runs security-relevant writes. A request checks the caller's identity and access again, in the transaction of the
 * write and under lock. An operator who acts for a user is not checked.
 *
 * Use-cases that take a Grantor serve both routes and commands. The exemptions of an operator (ranks, quotas,
 * verified address, bounds of a token) depend only on the {@link Authority}, so a use-case has one body and one order
 * of checks. A `Grantor<Identity>` is always a request.
 */
export interface Grantor<A extends Authority | LoginAuthority = Authority> extends Recorder {
  /**
   * Runs a write in a transaction.
   *
   * @throws {HttpError} 401, 403 and 423 when a request's caller may not write, or may no longer
   */
  authorized<T>(
    write: (transaction: Transaction<Schema>, authority: A) => Promise<T>,
    options?: AuthorizedOptions,
  ): Promise<T>
}

/**
 * The person at the command line, who may do everything to every account. Use-cases that take an Operator check no
 * authority; a request never is an Operator.
 */
export interface Operator extends Recorder {
  /** A Grantor that acts for a user. */
  actAs(userId: number): Grantor
}

/** Creates the {@link Operator} of a command. Its events are recorded as done by the command line. */
export function createOperator({
  kysely,
  events,
}: {
  kysely: Kysely<Schema>
  events: Pick<Events, 'record'>
}): Operator {
  const record: Operator['record'] = (event, details) => events.record('command line', event, details)
  return {
    record,
    actAs: userId => ({
      record,
      authorized: write =>
        kysely
          .transaction()
          .execute(transaction => write(transaction, { via: 'operator', user: { id: userId } })),
    }),
  }
}
