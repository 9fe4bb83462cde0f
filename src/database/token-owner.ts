import { type Kysely, sql } from 'kysely'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** Whose tokens are meant. `types` are the class names that mean a user. */
export interface TokenOwner {
  userId: number
  types: readonly string[]
}

/** The condition that a token is the owner's. */
export const ownedBy = ({ userId, types }: TokenOwner) =>
  sql<boolean>`(tokenable_id = ${userId}::bigint and tokenable_type = any(${types}::text[]))`

/**
 * Runs a write of a user's tokens while the user's row is locked, in the caller's transaction or one of its own. Other
 * writes of these tokens wait, and their next statements see what was written (READ COMMITTED).
 */
export const underUserLock = <T>(
  db: Kysely<Schema>,
  userId: number,
  write: (transaction: Kysely<Schema>) => Promise<T>,
): Promise<T> =>
  inTransaction(db, async transaction => {
    await lockUser(transaction, userId)
    return write(transaction)
  })
