import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { bypassesAuthorization } from '#src/auth/permission.ts'
import { createRowLoader, type Loader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import { markAllRead, markNotification } from '#src/database/notifications.ts'
import type { Schema } from '#src/database/schema.ts'
import type { EpochMillis } from '#src/runtime/units.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether a notification belongs to the caller, as all do with `bypass authorization`, or to another user. */
type Ownership = 'own' | 'foreign'

/** Marks notifications as read or unread. */
export interface NotificationMarks {
  /** Marks all unread notifications of the caller. */
  markAllRead(caller: Identity): Promise<void>
  /**
   * A row loader that marks the notification of the path, if it is the caller's and the caller has the route's
   * permission, or for callers with `bypass authorization`.
   */
  markingLoader(isRead: boolean): Loader<Ownership>
}

/** Creates the {@link NotificationMarks} of a server. */
export function createNotificationMarks({
  kysely,
  config: { tokenableTypes: userTypes },
  clock,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes'>
  clock: () => EpochMillis
}): NotificationMarks {
  return {
    markAllRead: ({ user }) => markAllRead(kysely, { userId: user.id, userTypes, now: clock() }),
    markingLoader: isRead =>
      createRowLoader({
        // One statement finds the row, checks its owner and marks it, without a query before.
        isWrite: true,
        find: async ({ notification: id }: { notification: string }, identity, isPermitted) =>
          identity !== null && UUID.test(id)
            ? markNotification(kysely, id, {
                userId: identity.user.id,
                userTypes,
                now: clock(),
                isRead,
                isAllowed: isPermitted,
                ofAnyUser: bypassesAuthorization(identity),
              })
            : null,
        allows: whose => whose === 'own',
      }),
  }
}
