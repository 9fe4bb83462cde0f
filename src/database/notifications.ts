import { type Kysely, sql } from 'kysely'
import { millisToSeconds } from '#src/auth/time.ts'
import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import type { Schema } from './schema.ts'

/** Whose notifications are meant, and when; `now` in milliseconds since the epoch. */
interface Marking {
  userId: number
  userTypes: readonly string[]
  now: number
}

const ofUser = ({ userId, userTypes }: Marking) => sql<boolean>`
  (notifiable_id = ${userId}::bigint and notifiable_type = any(${userTypes}::text[]))`

/** Marks all of a user's notifications that are not read yet. The panel's own stay as they are. */
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
 * Marks a notification as read or unread, if it is the user's and the user may, and says whose it is: null when
 * there is no such notification. What is marked so already stays as it is.
 *
 * @param id a UUID
 */
export async function markNotification(
  db: Kysely<Schema>,
  id: string,
  { isRead, isAllowed, ...marking }: Marking & { isRead: boolean; isAllowed: boolean },
): Promise<'own' | "somebody else's" | null> {
  const now = millisToSeconds(marking.now)
  const { rows } = await sql<{ is_own: boolean }>`
    with marked as (
      update notifications
      set read_at = ${isRead ? now : null}::timestamp, updated_at = ${now}::timestamp
      where id = ${id}::uuid and type <> ${PANEL_NOTIFICATION} and ${isAllowed}::boolean and ${ofUser(marking)}
        and (read_at is null) = ${isRead}::boolean
    )
    select ${ofUser(marking)} as is_own
    from notifications where id = ${id}::uuid and type <> ${PANEL_NOTIFICATION}`.execute(db)
  const [row] = rows
  if (row === undefined) return null
  return row.is_own ? 'own' : "somebody else's"
}

/**
 * Stores a notification for a user.
 *
 * @param notification.id a UUID
 * @param notification.data JSON
 * @param notification.now milliseconds since the epoch
 */
export async function insertNotification(
  db: Kysely<Schema>,
  notification: { id: string; userId: number; userType: string; type: string; data: string; now: number },
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
