/** The type of the Laravel panel's own notifications, in the same table. The API neither returns nor changes them. */
export const PANEL_NOTIFICATION = 'Filament\\Notifications\\DatabaseNotification'

/** The pattern of notification types: names of PHP classes, because Laravel reads the rows as well. */
export const TYPE_PATTERN = '^[A-Za-z_][\\w\\\\]*$'

/** Maximum lengths in characters. */
export const NOTIFICATION_LIMITS = { type: 255, data: 10_000 } as const

/** Whether users can see notifications of a type: all but the panel's own. */
export const isVisibleType = (type: string): boolean =>
  type.length <= NOTIFICATION_LIMITS.type &&
  new RegExp(TYPE_PATTERN).test(type) &&
  type !== PANEL_NOTIFICATION

/** Whether text is a JSON object. */
export function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
