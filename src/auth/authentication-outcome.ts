import type { DeviceFailure } from './device.ts'
import type { AuthenticationFailure } from './identity.ts'
import type { SessionFailure } from './stored-session.ts'

/** The outcome of authentication, for the log and the metrics. Clients never see it. */
export type AuthenticationOutcome =
  | AuthenticationFailure
  | SessionFailure
  | DeviceFailure
  | 'authenticated'
  | 'anonymous'
  | 'throttled'
  | 'unavailable'
