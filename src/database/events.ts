import { type Kysely, sql } from 'kysely'
import type { AccountEvent } from '#src/auth/events.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import { browserColumns } from './browsers.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** Stores what happened to accounts, in one statement. What happened to one that is gone for good is left out. */
export async function insertEvents(db: Kysely<Schema>, events: readonly AccountEvent[]): Promise<void> {
  const rows = events.map(({ userId, event, details, address, userAgent, isByOther, at }) => ({
    userId,
    event,
    details: JSON.stringify(details),
    ...browserColumns({ address: address ?? '', userAgent: userAgent ?? undefined }),
    isByOther,
    at: millisToTimestamp(at),
  }))
  const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map(row => row[name])
  await sql`
    insert into account_events
      (user_id, event, details, ip_address, user_agent, actor_ip_address, actor_user_agent, created_at)
    select users.id, event, details,
      case when not is_by_other then nullif(ip_address, '') end, case when not is_by_other then user_agent end,
      case when is_by_other then nullif(ip_address, '') end, case when is_by_other then user_agent end, at
    from unnest(
      ${column('userId')}::bigint[], ${column('event')}::text[], ${column('details')}::text[],
      ${column('ip_address')}::text[], ${column('user_agent')}::text[], ${column('isByOther')}::boolean[],
      ${column('at')}::timestamp[]
    ) with ordinality as happened (user_id, event, details, ip_address, user_agent, is_by_other, at, n)
    join users on users.id = happened.user_id
    order by n`.execute(db)
}

/**
 * What happened to a user's account, newest first.
 *
 * @param page.before the id of the event that the list goes on behind; null from the newest on
 * @param page.withActors whether it is told from where others did something to the account: that is not for its user
 */
export function listEvents(
  db: Kysely<Schema>,
  userId: number,
  { most, before = null, withActors = false }: { most: number; before?: number | null; withActors?: boolean },
) {
  const origin = (column: 'ip_address' | 'user_agent') =>
    withActors
      ? sql<string | null>`coalesce(${sql.ref(column)}, ${sql.ref(`actor_${column}`)})`
      : sql<string | null>`${sql.ref(column)}`
  return db
    .selectFrom('account_events')
    .select(['id', 'created_at', 'event', 'details'])
    .select([origin('ip_address').as('ip_address'), origin('user_agent').as('user_agent')])
    .where('user_id', '=', userId)
    .$if(before !== null, query =>
      query.where(
        sql<boolean>`(created_at, id) < (
          select created_at, id from account_events where id = ${before} and user_id = ${userId}
        )`,
      ),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(most)
    .execute()
}

/** Deletes what happened before a moment, in milliseconds since the epoch. */
export async function pruneEvents(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'account_events', sql`created_at < ${millisToTimestamp(before)}::timestamp`)
}
