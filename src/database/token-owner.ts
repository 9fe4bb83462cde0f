import { type Kysely, sql } from 'kysely'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** The owner of tokens. `types` are the `tokenable_type` values of users. */
export interface TokenOwner {
  userId: number
  types: readonly string[]
}

/** The condition that a token belongs to an owner. */
export const ownedBy = ({ userId, types }: TokenOwner) =>
  sql<boolean>`(tokenable_id = ${userId}::bigint and tokenable_type = any(${types}::text[]))`

/**
 * Runs a write of a user's tokens under the user's row lock, in the caller's transaction or a new one. Other writes of
 * these tokens wait, and their next statements see what was written (READ COMMITTED).
 */
export const withUserLock = <T>(
  db: Kysely<Schema>,
  userId: number,
  write: (transaction: Kysely<Schema>) => Promise<T>,
): Promise<T> =>
  inTransaction(db, async transaction => {
    await lockUser(transaction, userId)
    return write(transaction)
  })
