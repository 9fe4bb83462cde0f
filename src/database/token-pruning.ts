import { type Kysely, type RawBuilder, sql } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { ISSUERS, type Lineage, passChildrenUp } from './token-lineage.ts'

/**
 * Deletes the tokens that expired before a time. Their children are kept, under the nearest remaining ancestor.
 *
 * @param ended tokens whose own expiry is earlier are deleted
 * @param created tokens created earlier are deleted too; null when tokens have no maximum age
 */
export async function pruneTokens(
  db: Kysely<Schema>,
  ended: EpochMillis,
  created: EpochMillis | null,
): Promise<void> {
  const prune = async (column: 'expires_at' | 'created_at', moment: EpochMillis) => {
    const isOver = sql<boolean>`${sql.ref(column)} < ${millisToTimestamp(moment)}::timestamp`
    while ((await pruneBatch(db, isOver)) > 0);
  }
  await prune('expires_at', ended)
  if (created !== null) await prune('created_at', created)
  await deleteInBatches(
    db,
    'token_successors',
    sql`not exists (select from personal_access_tokens t where t.id = token_id)`,
  )
}

/** How many users are locked and tokens deleted per transaction. */
const BATCH = { users: 500, tokens: 5_000 }

/**
 * Deletes a batch of the tokens that meet a condition, and returns how many. Locked users and tokens are skipped until
 * the next run: it never waits for a lock while holding others. Issuing and rotating hold the user's lock, so no token
 * can get an issuer that is being deleted.
 */
function pruneBatch(db: Kysely<Schema>, isOver: RawBuilder<boolean>): Promise<number> {
  return db.transaction().execute(async transaction => {
    const { rows: users } = await sql<{ id: number }>`
      select id from users where id in (select tokenable_id from personal_access_tokens where ${isOver})
      limit ${BATCH.users} for no key update skip locked`.execute(transaction)
    const { rows: pruned } = await sql<Lineage>`
      with pruned as (
        select id from personal_access_tokens as token
        where ${isOver} and (
          tokenable_id = any(${users.map(({ id }) => id)}::bigint[])
          or not exists (select from users where users.id = token.tokenable_id)
        )
        limit ${BATCH.tokens} for update of token skip locked
      )
      delete from personal_access_tokens where id in (select id from pruned)
      returning id, ${ISSUERS} as issuers`.execute(transaction)
    if (pruned.length > 0) await passChildrenUp(transaction, pruned)
    return pruned.length
  })
}
