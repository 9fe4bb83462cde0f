import type { Kysely, Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** Runs work in the given transaction, or in a new one. */
export const inTransaction = <T>(
  db: Kysely<Schema>,
  work: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> => (db.isTransaction ? work(db as Transaction<Schema>) : db.transaction().execute(work))
