import type { Kysely, Transaction } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import type { Schema } from '#src/database/schema.ts'
import type { AuthorizedOptions, Recorder } from './caller.ts'
import type { Events } from './events.ts'

/** The authority of an operator who acts for a user. */
export interface OperatorAuthority {
  via: 'operator'
  /** Whose account it is. */
  user: { readonly id: number }
}

/** On whose authority something is written: a caller's, as it is under lock, or an operator's. */
export type Authority = Identity | OperatorAuthority

/**
 * Whoever may give or take power over accounts. A request is one by `authorized()`, which asks once more, in the
 * transaction of the write and under lock, who calls and whether they may. An operator who acts for a user is one who is
 * asked nothing.
 *
 * Use-cases that take a Grantor serve routes and commands alike. What an operator is free of (ranks, quotas, a verified
 * address, the bounds of a token) follows from the {@link Authority} alone, so that a use-case has one body and one order
 * of checks. Those that take a `Grantor<Identity>` are for requests alone.
 */
export interface Grantor<A extends Authority = Authority> extends Recorder {
  /**
   * Runs a write in a transaction.
   *
   * @throws {HttpError} 401, 403 and 423 when a caller may not, or may no longer
   */
  authorized<T>(
    write: (transaction: Transaction<Schema>, authority: A) => Promise<T>,
    options?: AuthorizedOptions,
  ): Promise<T>
}

/**
 * Somebody who can run commands, and so may do everything to every account. Use-cases that take an Operator ask for no
 * authority: no request is one.
 */
export interface Operator extends Recorder {
  /** As whom a user's own things are done. */
  actingFor(userId: number): Grantor
}

/** Makes the {@link Operator} of a command. What it records says that the command line did it. */
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
    actingFor: userId => ({
      record,
      authorized: write =>
        kysely
          .transaction()
          .execute(transaction => write(transaction, { via: 'operator', user: { id: userId } })),
    }),
  }
}
