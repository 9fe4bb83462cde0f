import type { EpochMillis } from '#src/runtime/units.ts'
/** The events of accounts. */
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
  | 'data exported'
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

/** Details of an event, such as its cause. They must not contain a secret. */
export type EventDetails = Readonly<Record<string, string | number | boolean | null>>

/** An event of an account. */
export interface AccountEvent {
  userId: number
  event: EventName
  details: EventDetails
  /** The address that it came from; null for the command line. */
  address: string | null
  userAgent: string | null
  /** Whether another user caused it. Then the address is shown to staff only. */
  isByOther: boolean
  at: EpochMillis
}

/** How many tokens the event of a revocation names. */
const MAX_NAMED = 20

/** Details of the event `token revoked`: the number of tokens, and their names and ids. */
export function revokedDetails(ended: readonly { id: number; name: string }[]) {
  const named = ended.slice(0, MAX_NAMED).map(({ id, name }) => `${name} (${id})`)
  const more = ended.length - named.length
  const tokens = `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  return { count: ended.length, tokens }
}
