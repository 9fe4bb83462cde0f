import type { EpochMillis, EpochSeconds, Millis } from '#src/runtime/units.ts'
import type { SessionIdentity, StoredUser } from './identity.ts'
import {
  liveThresholds,
  type PasswordStamp,
  readChallenge,
  remainingMs,
  type Session,
  type SessionId,
  type SessionLifetimes,
  type SessionPayload,
} from './session.ts'
import { MINUTE_MS } from './time.ts'

/** A stored session with its user, null if that is not an existing user. */
export interface StoredSession {
  userId: number | null
  /** Null for another program's session. */
  payload: SessionPayload | null
  lastActivity: EpochSeconds
  owner: (StoredUser & { password: PasswordStamp }) | null
}

/** Why a session cookie was refused, for the log and a metric. Clients never see it. */
export type SessionFailure =
  | 'session_malformed'
  | 'session_ambiguous'
  | 'session_unknown'
  | 'session_replaced'
  | 'session_expired'
  | 'session_no_owner'
  | 'session_password_changed'

/** How long after a replacement the browser may still send the old cookie, concurrently with the response. */
const REPLACEMENT_MS: Millis = MINUTE_MS

/**
 * Validates a session id against the row that it led to. Returns the session, and its identity if a user is logged
 * in.
 *
 * The session must have been used within its lifetime and be younger than the absolute lifetime. The password must
 * have been entered within {@link LOGIN_LIFETIME_MS}. The user must exist and still have the password that the
 * session was opened with.
 */
export function validateSession(
  id: SessionId,
  stored: StoredSession | null,
  now: EpochMillis,
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
    challenge: readChallenge(payload),
  }
  if (!(remainingMs(session, now, lifetimes) > 0)) return 'session_expired'
  if (session.lastActivityAt < liveThresholds(now, lifetimes).used) return 'session_expired'
  if (stored.userId === null) return { session, identity: null }
  if (stored.owner === null) return 'session_no_owner'
  // Neither is from the client: no time of the comparison can reveal anything.
  if (payload.password !== stored.owner.password) {
    return 'session_password_changed'
  }
  const { user, permissions, prohibitions, ban } = stored.owner
  return { session, identity: { via: 'session', user, permissions, prohibitions, ban, session } }
}
