/** What happens to accounts. */
export type EventName =
  | 'registered'
  | 'login'
  | 'logout'
  | 'wrong password'
  | 'wrong code'
  | 'password confirmed'
  | 'password changed'
  | 'password reset'
  | 'password reset asked for'
  | 'email verified'
  | 'profile changed'
  | 'email change asked for'
  | 'email changed'
  | 'email change reverted'
  | 'second factor enabled'
  | 'second factor confirmed'
  | 'second factor removed'
  | 'recovery codes shown'
  | 'recovery codes replaced'
  | 'device stolen'
  | 'session ended'
  | 'token created'
  | 'token renamed'
  | 'token rotated'
  | 'token revoked'
  | 'expired token used'
  | 'role granted'
  | 'role revoked'
  | 'permission granted'
  | 'permission revoked'
  | 'role changed'
  | 'banned'
  | 'ban lifted'
  | 'notified'
  | 'account deleted'
  | 'account restored'
  | 'account secured'

/** What else there is to know of an event, such as its cause: never a secret. */
export type EventDetails = Readonly<Record<string, string | number | boolean | null>>

/** Something that happened to an account, from where and when. */
export interface AccountEvent {
  userId: number
  event: EventName
  details: EventDetails
  /** From where it happened; null for the command line. */
  address: string | null
  userAgent: string | null
  /** Whether another user did it, whose address is for those who run the place alone. */
  isByOther: boolean
  /** Milliseconds since the epoch. */
  at: number
}

/** How many tokens the record of a revocation names. */
const MOST_NAMED = 20

/** What the event `token revoked` tells of the tokens that ended: how many, and their names with their ids. */
export function revokedDetails(ended: readonly { id: number; name: string }[]) {
  const named = ended.slice(0, MOST_NAMED).map(({ id, name }) => `${name} (${id})`)
  const more = ended.length - named.length
  const tokens = `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  return { count: ended.length, tokens }
}
