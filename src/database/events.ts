import { type Kysely, sql } from 'kysely'
import type { AccountEvent } from '../auth/events.ts'
import { millisToTimestamp } from '../auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'
import { browserColumns } from './sessions.ts'

/** Stores what happened to accounts, in one statement. What happened to one that is gone for good is left out. */
export async function insertEvents(db: Kysely<Schema>, events: readonly AccountEvent[]): Promise<void> {
  const rows = events.map(({ userId, event, details, address, userAgent, at }) => ({
    userId,
    event,
    details: JSON.stringify(details),
    ...browserColumns({ address: address ?? '', userAgent: userAgent ?? undefined }),
    at: millisToTimestamp(at),
  }))
  const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map(row => row[name])
  await sql`
    insert into account_events (user_id, event, details, ip_address, user_agent, created_at)
    select users.id, event, details, nullif(ip_address, ''), user_agent, at
    from unnest(
      ${column('userId')}::bigint[], ${column('event')}::text[], ${column('details')}::text[],
      ${column('ip_address')}::text[], ${column('user_agent')}::text[], ${column('at')}::timestamp[]
    ) with ordinality as happened (user_id, event, details, ip_address, user_agent, at, n)
    join users on users.id = happened.user_id
    order by n`.execute(db)
}

/**
 * What happened to a user's account, newest first.
 *
 * @param before the id of the event that the list goes on behind; null from the newest on
 */
export function listEvents(
  db: Kysely<Schema>,
  userId: number,
  { most, before = null }: { most: number; before?: number | null },
) {
  return db
    .selectFrom('account_events')
    .select(['id', 'created_at', 'event', 'details', 'ip_address', 'user_agent'])
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
