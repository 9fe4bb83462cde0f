import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { TokenDigest } from '#src/auth/token.ts'
import type { Schema } from './schema.ts'

/** The condition on tokens that a leak report of a secret ends: the one with its digest, and its recorded successor. */
export const reportedBy = (digest: TokenDigest) => sql<boolean>`(
  token = ${digest} or id = (select token_id from token_successors where digest = ${digest})
)`

/**
 * Records that a leak report of a token, or of one that it replaced, ends its successor too. If a successor of the
 * token is already recorded, the new one descends from that: the first successor stays.
 */
export async function rememberSuccessor(
  db: Kysely<Schema>,
  old: { id: number; digest: string },
  newId: number,
): Promise<void> {
  await db.updateTable('token_successors').set({ token_id: newId }).where('token_id', '=', old.id).execute()
  await db
    .insertInto('token_successors')
    .values({ digest: old.digest, token_id: newId })
    .onConflict(conflict => conflict.column('digest').doNothing())
    .execute()
}

/**
 * Records that a leak report of an ancestor of a token, or of one that an ancestor replaced, ends that token too.
 *
 * @param owned the condition on the user's tokens: others are no ancestors
 * @param keptId the id of the token, all of whose ancestors are about to be deleted
 */
export async function rememberAncestors(
  db: Kysely<Schema>,
  owned: RawBuilder<boolean>,
  keptId: number,
): Promise<void> {
  const kept = sql`${keptId}::bigint`
  await sql`
    with recursive lineage (id, issuers) as (
      select id, array_prepend(issued_by, inherited_issuers) from personal_access_tokens
      where id = ${kept} and ${owned}
      union
      select token.id, array_prepend(token.issued_by, token.inherited_issuers) from lineage
      join personal_access_tokens as token on token.id = any(lineage.issuers) and ${owned}
    ),
    ancestors as (select id from lineage where id <> ${kept})
    insert into token_successors (digest, token_id)
    select token, ${kept} from personal_access_tokens where id in (select id from ancestors)
    union
    select digest, ${kept} from token_successors where token_id in (select id from ancestors)
    on conflict (digest) do update set token_id = excluded.token_id`.execute(db)
}
