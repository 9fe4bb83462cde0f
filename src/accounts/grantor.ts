import type { Kysely, Transaction } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import type { Schema } from '#src/database/schema.ts'
import type { AuthorizedOptions, Recorder } from './caller.ts'
import type { Events } from './events.ts'

/** An operator at the command line, who acts for a user: whoever can run commands may do everything to every account. */
export interface OperatorAuthority {
  via: 'operator'
  /** Whose account it is. */
  user: { readonly id: number }
}

/** On whose authority something is written: a caller's, as it is under lock, or an operator's. */
export type Authority = Identity | OperatorAuthority

/**
 * Whoever may give or take power over accounts. A request is one by `authorized()`, which asks once more, in the
 * transaction of the write and under lock, who calls and whether they may. An operator is one who is asked nothing.
 *
 * Use-cases that take a Grantor serve routes and commands alike. What an operator is free of (ranks, quotas, a verified
 * address, the bounds of a token) follows from the {@link Authority} alone, so that a use-case has one body and one order
 * of checks.
 */
export interface Grantor extends Recorder {
  /**
   * Runs a write in a transaction.
   *
   * @throws {HttpError} 401, 403 and 423 when a caller may not, or may no longer
   */
  authorized<T>(
    write: (transaction: Transaction<Schema>, authority: Authority) => Promise<T>,
    options?: AuthorizedOptions,
  ): Promise<T>
}

/** Makes the {@link Grantor} of an operator who acts for a user. What it records says that the command line did it. */
export const operatorFor = (
  { kysely, events }: { kysely: Kysely<Schema>; events: Pick<Events, 'record'> },
  userId: number,
): Grantor => ({
  authorized: write =>
    kysely
      .transaction()
      .execute(transaction => write(transaction, { via: 'operator', user: { id: userId } })),
  record: (event, details) => events.record('command line', event, details),
})
