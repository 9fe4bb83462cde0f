import { type Kysely, sql } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import type { Addressee } from './users.ts'

/** A login whose user was found, and what of it was not seen before. */
export interface NotedLogin extends Addressee {
  /** Nothing is new while nothing was known of the user. */
  isNew: { browser: boolean; network: boolean }
}

/**
 * Remembers from which browser and network a user logged in, and says which of them are new: both are rows of their own,
 * so that of logins at the same time one inserts a row and the others find it. All in one statement.
 *
 * @param login.now milliseconds since the epoch
 * @returns null for a user who is deleted
 */
export async function noteKnownLogin(
  db: Kysely<Schema>,
  { userId, browser, network, now }: { userId: number; browser: string; network: string; now: number },
): Promise<NotedLogin | null> {
  const at = sql`${millisToSeconds(now)}::timestamp`
  // The conflict's row is locked in any case, and written once a day: xmax is 0 for rows that this statement inserted.
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

/** Forgets what a login was the first to come from, as {@link noteKnownLogin} said of it. */
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

/** Forgets from where nobody has logged in since a moment, in milliseconds since the epoch. */
export async function pruneKnownLogins(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'known_logins', sql`last_seen_at < ${millisToSeconds(before)}::timestamp`)
}
