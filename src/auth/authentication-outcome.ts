import type { DeviceFailure } from './device.ts'
import type { AuthenticationFailure } from './identity.ts'
import type { SessionFailure } from './stored-session.ts'

/** How an attempt to find out who is calling ended: for the log and the metrics, never for the client. */
export type AuthenticationOutcome =
  | AuthenticationFailure
  | SessionFailure
  | DeviceFailure
  | 'authenticated'
  | 'anonymous'
  | 'throttled'
  | 'unavailable'
