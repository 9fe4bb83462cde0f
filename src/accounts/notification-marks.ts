import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { type Loader, rowLoader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import { markAllRead, markNotification } from '#src/database/notifications.ts'
import type { Schema } from '#src/database/schema.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whose a notification is to whoever asks. */
type Whose = 'own' | "somebody else's"

/** Marks the notifications of users as read or unread. */
export interface NotificationMarks {
  /** Marks all of the caller's that are unread. */
  readAll(caller: Identity): Promise<void>
  /** Loads the notification that a path names, and marks it if the caller is permitted to and it is the caller's. */
  toMark(isRead: boolean): Loader<Whose>
}

/** Makes the use-cases of marking notifications. */
export function createNotificationMarks({
  kysely,
  config: { tokenableTypes: userTypes },
  clock,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  /** Milliseconds since the epoch. */
  clock: () => number
}): NotificationMarks {
  return {
    readAll: ({ user }) => markAllRead(kysely, { userId: user.id, userTypes, now: clock() }),
    toMark: isRead =>
      rowLoader({
        // One statement finds the row, says whose it is, and marks it: a look-up before would be a second one.
        isWrite: true,
        find: async ({ notification: id }: { notification: string }, identity, isPermitted) =>
          identity !== null && UUID.test(id)
            ? markNotification(kysely, id, {
                userId: identity.user.id,
                userTypes,
                now: clock(),
                isRead,
                isAllowed: isPermitted,
              })
            : null,
        allows: whose => whose === 'own',
      }),
  }
}
