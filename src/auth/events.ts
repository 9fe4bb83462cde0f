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

/** What else there is to know of an event, such as its cause: never a secret. */
export type EventDetails = Readonly<Record<string, string | number | boolean | null>>

/** Something that happened to an account, from where and when. */
export interface AccountEvent {
  userId: number
  event: EventName
  details: EventDetails
  /** Null for the command line, and for what somebody else did. */
  address: string | null
  userAgent: string | null
  /** Milliseconds since the epoch. */
  at: number
}
