import type { Kysely, Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** Runs something in the transaction that it is given, or in one of its own. */
export const inTransaction = <T>(
  db: Kysely<Schema>,
  work: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> => (db.isTransaction ? work(db as Transaction<Schema>) : db.transaction().execute(work))
