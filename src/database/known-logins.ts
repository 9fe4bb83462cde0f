import { type Kysely, sql } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import type { Addressee } from './users.ts'

/** A recorded login, and which of its properties are new. */
export interface NotedLogin extends Addressee {
  /** The first login of a user counts as known. */
  isNew: { browser: boolean; network: boolean }
}

/**
 * Records the browser and network of a login, and returns which of them are new. Each is a row, so that of concurrent
 * logins one inserts it and the others find it. All in one statement.
 *
 * @returns null for a deleted user
 */
export async function noteKnownLogin(
  db: Kysely<Schema>,
  { userId, browser, network, now }: { userId: number; browser: string; network: string; now: EpochMillis },
): Promise<NotedLogin | null> {
  const at = sql`${millisToSeconds(now)}::timestamp`
  // The conflicting row is locked in any case, and written once a day. `xmax` is 0 for rows that this statement
  // inserted.
  const { rows } = await sql<Addressee & { had_any: boolean; new_browser: boolean; new_network: boolean }>`
    with owner as (
      select id, name, email, email_verified_at is not null as "isVerified" from users
      where id = ${userId} and deleted_at is null
    ), known as (
      select exists (select from known_logins where user_id = ${userId}) as had_any
    ), seen as (
      insert into known_logins (user_id, kind, value, first_seen_at, last_seen_at)
      select owner.id, seen.kind, seen.value, ${at}, ${at}
      from owner cross join (values ('browser', ${browser}::text), ('network', ${network}::text)) as seen (kind, value)
      order by seen.kind
      on conflict (user_id, kind, value) do update set last_seen_at = excluded.last_seen_at
        where known_logins.last_seen_at < excluded.last_seen_at - interval '1 day'
      returning kind, xmax::text = '0' as is_new
    )
    select owner.*, had_any,
      exists (select from seen where kind = 'browser' and is_new) as new_browser,
      exists (select from seen where kind = 'network' and is_new) as new_network
    from owner cross join known`.execute(db)
  const [row] = rows
  if (row === undefined) return null
  const { had_any, new_browser, new_network, ...addressee } = row
  return { ...addressee, isNew: { browser: had_any && new_browser, network: had_any && new_network } }
}

/** Forgets the browser or network that {@link noteKnownLogin} reported as new. */
export async function forgetNewLogin(
  db: Kysely<Schema>,
  { userId, browser, network }: { userId: number; browser: string; network: string },
  isNew: NotedLogin['isNew'],
): Promise<void> {
  await sql`
    delete from known_logins
    where user_id = ${userId} and (
      ${isNew.browser} and kind = 'browser' and value = ${browser}
      or ${isNew.network} and kind = 'network' and value = ${network}
    )`.execute(db)
}

/** Deletes the browsers and networks without a login since a time. */
export async function pruneKnownLogins(db: Kysely<Schema>, before: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'known_logins', sql`last_seen_at < ${millisToSeconds(before)}::timestamp`)
}
