import type { Config } from '#src/config/config.ts'
import { insertNotification } from '#src/database/notifications.ts'
import { isJsonObject, isShownType } from '#src/input/notification.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Grantor } from './grantor.ts'
import type { StaffActions } from './staff-actions.ts'

interface NotificationsOptions {
  config: Pick<Config, 'tokenableTypes'>
  /** Milliseconds since the epoch. */
  clock(): number
  /** A new UUID. */
  uuid(): string
  subjects: StaffActions
}

/** What users are notified of. */
export interface Notifications {
  /**
   * Notifies a user, and returns the notification's id.
   *
   * @param notification.type the name of a PHP class that users are shown
   * @param notification.data a JSON object
   * @throws {HttpError} 422 for anything else, and as `Subjects.act()`
   */
  send(grantor: Grantor, userId: number, notification: { type: string; data: string }): Promise<string>
}

const { rules } = MESSAGES

/** Makes the {@link Notifications} of a process. */
export const createNotifications = ({
  config,
  clock,
  uuid,
  subjects,
}: NotificationsOptions): Notifications => ({
  async send(grantor, userId, { type, data }) {
    if (!isShownType(type)) throw unprocessable({ type: [rules.selected('type')] })
    if (!isJsonObject(data)) throw unprocessable({ data: [rules.jsonObject('data')] })
    const id = uuid()
    const [userType] = config.tokenableTypes
    const { who } = await subjects.act(grantor, userId, transaction =>
      insertNotification(transaction, { id, userId, userType, type, data, now: clock() }),
    )
    grantor.record('notified', { ...who, type })
    return id
  },
})
