import type { Config } from '#src/config/config.ts'
import { insertNotification } from '#src/database/notifications.ts'
import { isJsonObject, isVisibleType } from '#src/input/notification.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Grantor } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

interface NotificationsOptions {
  config: Pick<Config, 'tokenableTypes'>
  clock(): EpochMillis
  uuid(): string
  staffActions: StaffActions
}

export interface Notifications {
  /**
   * Notifies a user. Returns the notification's id.
   *
   * @param notification.type the name of a PHP class whose notifications users can see
   * @param notification.data a JSON object
   * @throws {HttpError} 422 for any other type or data, and as {@link StaffActions.act}
   */
  send(grantor: Grantor, userId: number, notification: { type: string; data: string }): Promise<string>
}

const { rules } = MESSAGES

/** Creates the {@link Notifications} of a process. */
export const createNotifications = ({
  config,
  clock,
  uuid,
  staffActions,
}: NotificationsOptions): Notifications => ({
  async send(grantor, userId, { type, data }) {
    if (!isVisibleType(type)) throw unprocessable({ type: [rules.selected('type')] })
    if (!isJsonObject(data)) throw unprocessable({ data: [rules.jsonObject('data')] })
    const id = uuid()
    const [userType] = config.tokenableTypes
    const { eventUsers } = await staffActions.act(grantor, userId, transaction =>
      insertNotification(transaction, { id, userId, userType, type, data, now: clock() }),
    )
    grantor.record('notified', { ...eventUsers, type })
    return id
  },
})
