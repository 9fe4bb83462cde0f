import type { Kysely, Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** Runs a change in the transaction that it is given, or in one of its own. */
export const withinTransaction = <T>(
  db: Kysely<Schema>,
  change: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> => (db.isTransaction ? change(db as Transaction<Schema>) : db.transaction().execute(change))
