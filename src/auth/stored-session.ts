import type { SessionIdentity, StoredUser } from './identity.ts'
import { equalSecrets } from './secret.ts'
import {
  challengeOf,
  liveSince,
  type PasswordStamp,
  remainingMs,
  type Session,
  type SessionId,
  type SessionLifetimes,
  type SessionPayload,
} from './session.ts'
import { MINUTE_MS } from './time.ts'

/** A stored session together with its user, if there is one who still exists. */
export interface StoredSession {
  userId: number | null
  /** Null for what is no session of ours. */
  payload: SessionPayload | null
  /** Seconds since the epoch. */
  lastActivity: number
  owner: (StoredUser & { password: PasswordStamp }) | null
}

/** Why a session cookie opened nothing. It goes to the log and to a metric, and never to the client. */
export type SessionFailure =
  | 'session_malformed'
  | 'session_ambiguous'
  | 'session_unknown'
  | 'session_replaced'
  | 'session_expired'
  | 'session_no_owner'
  | 'session_password_changed'

/** Milliseconds within which a browser has the session that replaced another one. */
const REPLACEMENT_MS = MINUTE_MS

/**
 * Decides what a session id is worth, given the row that it led to: a session, and whose it is if somebody
 * logged in.
 *
 * It must have been used within its lifetime and be younger than the absolute one, the password must have been entered
 * within {@link LOGIN_LIFETIME_MS}, and its user must exist and still have the password that the session was opened with.
 *
 * @param now milliseconds since the epoch
 */
export function judgeSession(
  id: SessionId,
  stored: StoredSession | null,
  now: number,
  lifetimes: SessionLifetimes,
): { session: Session; identity: SessionIdentity | null } | SessionFailure {
  const payload = stored?.payload ?? null
  if (stored === null || payload === null) return 'session_unknown'
  if (payload.replaced_at !== undefined) {
    return now - payload.replaced_at * 1000 <= REPLACEMENT_MS ? 'session_replaced' : 'session_unknown'
  }
  const session: Session = {
    id,
    userId: stored.userId,
    createdAt: payload.created_at * 1000,
    lastActivityAt: stored.lastActivity * 1000,
    enteredAt: (payload.entered_at ?? payload.created_at) * 1000,
    passwordConfirmedAt:
      payload.password_confirmed_at === undefined ? null : payload.password_confirmed_at * 1000,
    device: payload.device ?? null,
    isDeviceUnseen: payload.device_unseen === true,
    challenge: challengeOf(payload),
  }
  if (!(remainingMs(session, now, lifetimes) > 0)) return 'session_expired'
  if (session.lastActivityAt < liveSince(now, lifetimes).used) return 'session_expired'
  if (stored.userId === null) return { session, identity: null }
  if (stored.owner === null) return 'session_no_owner'
  if (payload.password === undefined || !equalSecrets(payload.password, stored.owner.password)) {
    return 'session_password_changed'
  }
  const { user, permissions, prohibitions, ban } = stored.owner
  return { session, identity: { via: 'session', user, permissions, prohibitions, ban, session } }
}
