import { type Kysely, sql } from 'kysely'
import type { AccountEvent } from '#src/auth/events.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { browserColumns } from './browsers.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** Stores account events in one statement. Events of users who no longer exist are skipped. */
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
 * Lists a user's events, newest first.
 *
 * @param page.before the id of the event after which the page begins; null for the newest
 * @param page.withActors whether to include the address and browser of other users who acted on the account, which only
 *   staff may see
 */
export function listEvents(
  db: Kysely<Schema>,
  userId: number,
  {
    limit,
    before = null,
    withActors = false,
  }: { limit: number; before?: number | null; withActors?: boolean },
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
    .limit(limit)
    .execute()
}

/** Deletes the events before a time. */
export async function pruneEvents(db: Kysely<Schema>, before: EpochMillis): Promise<number> {
  return deleteInBatches(db, 'account_events', sql`created_at < ${millisToTimestamp(before)}::timestamp`)
}
