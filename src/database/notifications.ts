import { type Kysely, sql } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/** The owner of the notifications, and the time. */
interface Marking {
  userId: number
  userTypes: readonly string[]
  now: EpochMillis
}

const ofUser = ({ userId, userTypes }: Marking) => sql<boolean>`
  (notifiable_id = ${userId}::bigint and notifiable_type = any(${userTypes}::text[]))`

/** Marks all unread notifications of a user as read, except the panel's own. */
export async function markAllRead(db: Kysely<Schema>, marking: Marking): Promise<void> {
  const now = millisToSeconds(marking.now)
  await db
    .updateTable('notifications')
    .set({ read_at: now, updated_at: now })
    .where(ofUser(marking))
    .where('type', '<>', PANEL_NOTIFICATION)
    .where('read_at', 'is', null)
    .execute()
}

/**
 * Marks a notification as read or unread, if it is the user's and the user may. A notification that is so already is
 * not written.
 *
 * @param id a UUID
 * @param marking.ofAnyUser whether the notifications of all users count as the user's
 * @returns whose it is; null when there is no such notification
 */
export async function markNotification(
  db: Kysely<Schema>,
  id: string,
  {
    isRead,
    isAllowed,
    ofAnyUser,
    ...marking
  }: Marking & { isRead: boolean; isAllowed: boolean; ofAnyUser: boolean },
): Promise<'own' | 'foreign' | null> {
  const now = millisToSeconds(marking.now)
  const isOwn = sql<boolean>`(${ofAnyUser}::boolean or ${ofUser(marking)})`
  const { rows } = await sql<{ is_own: boolean }>`
    with marked as (
      update notifications
      set read_at = ${isRead ? now : null}::timestamp, updated_at = ${now}::timestamp
      where id = ${id}::uuid and type <> ${PANEL_NOTIFICATION} and ${isAllowed}::boolean and ${isOwn}
        and (read_at is null) = ${isRead}::boolean
    )
    select ${isOwn} as is_own
    from notifications where id = ${id}::uuid and type <> ${PANEL_NOTIFICATION}`.execute(db)
  const [row] = rows
  if (row === undefined) return null
  return row.is_own ? 'own' : 'foreign'
}

/**
 * Stores a notification for a user.
 *
 * @param notification.id a UUID
 * @param notification.data JSON
 */
export async function insertNotification(
  db: Kysely<Schema>,
  notification: {
    id: string
    userId: number
    userType: string
    type: string
    data: string
    now: EpochMillis
  },
): Promise<void> {
  const { id, userId, userType, type, data } = notification
  const now = millisToSeconds(notification.now)
  await db
    .insertInto('notifications')
    .values({
      id,
      type,
      notifiable_type: userType,
      notifiable_id: userId,
      data,
      created_at: now,
      updated_at: now,
    })
    .execute()
}
