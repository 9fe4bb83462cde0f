/** The panel's own notifications share the table with the API's, which neither shows nor changes them. */
export const PANEL_NOTIFICATION = 'Filament\\Notifications\\DatabaseNotification'

/** What a notification's type looks like: the name of a PHP class, whose rows Laravel reads as well. */
export const TYPE_PATTERN = '^[A-Za-z_][\\w\\\\]*$'

/** The longest type and the longest data of a notification, in characters. */
export const NOTIFICATION_LIMITS = { type: 255, data: 10_000 } as const

/** Whether a type is one that users are shown: the panel's own are not. */
export const isShownType = (type: string): boolean =>
  type.length <= NOTIFICATION_LIMITS.type &&
  new RegExp(TYPE_PATTERN).test(type) &&
  type !== PANEL_NOTIFICATION

/** Whether a text is a JSON object, as a notification's data has to be. */
export function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
