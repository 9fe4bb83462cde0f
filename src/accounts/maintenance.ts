import type { Kysely } from 'kysely'
import { liveThresholds, type SessionLifetimes } from '#src/auth/session.ts'
import { DAY_MS, MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { pruneUsers, RESTORABLE_MS } from '#src/database/deleted-users.ts'
import { pruneDevices } from '#src/database/devices.ts'
import { pruneEmailChanges } from '#src/database/email-changes.ts'
import { pruneEvents } from '#src/database/events.ts'
import { pruneFormSubmissions } from '#src/database/form-submissions.ts'
import { pruneKnownLogins } from '#src/database/known-logins.ts'
import { pruneLoginAddresses } from '#src/database/login-addresses.ts'
import { pruneResetTokens } from '#src/database/password-resets.ts'
import { pruneRegistrations } from '#src/database/registrations.ts'
import type { Schema } from '#src/database/schema.ts'
import { pruneSecurityLinks } from '#src/database/security-links.ts'
import { pruneSessions } from '#src/database/sessions.ts'
import { pruneTokens } from '#src/database/token-pruning.ts'
import { pruneTokenReminders } from '#src/database/token-reminders.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'

/** Retention of the addresses from which a user logged in. */
const LOGIN_ADDRESSES_MS: Millis = 90 * DAY_MS

/** Retention of the browsers and networks from which a user logged in. */
const KNOWN_LOGINS_MS: Millis = 400 * DAY_MS

/** Retention of expired tokens, as in Sanctum's `sanctum:prune-expired`. */
const ENDED_TOKENS_MS: Millis = DAY_MS

/** Retention of account events. */
const EVENTS_MS: Millis = 365 * DAY_MS

/** Retention of the idempotency keys of forms. */
const SENT_FORMS_MS: Millis = DAY_MS

interface PruningOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes' | 'tokenExpiration'> & SessionLifetimes
  attemptCounts: Pick<AttemptCounts, 'prune'>
  /** Called for each failed deletion, with a sentence for the log. The other deletions still run. */
  onFailure(error: Error, sentence: string): void
}

/**
 * Deletes expired rows: sessions, tokens, remembered devices, reset tokens, links of mails, unused browsers and
 * networks, keys of forms, old events, users deleted a month ago, attempt counts.
 */
export async function pruneExpired(
  { kysely, config, attemptCounts, onFailure }: PruningOptions,
  now: EpochMillis,
): Promise<void> {
  for (const prune of [
    () => pruneSessions(kysely, liveThresholds(now, config).used),
    () => pruneLoginAddresses(kysely, now - LOGIN_ADDRESSES_MS),
    () => pruneKnownLogins(kysely, now - KNOWN_LOGINS_MS),
    () => pruneSecurityLinks(kysely, now),
    () => pruneEndedTokens(kysely, config, now - ENDED_TOKENS_MS),
    () => pruneTokenReminders(kysely),
    () => pruneEvents(kysely, now - EVENTS_MS),
    () => pruneDevices(kysely, now),
    () => pruneResetTokens(kysely, now),
    () => pruneRegistrations(kysely, now),
    () => pruneFormSubmissions(kysely, now - SENT_FORMS_MS),
    () => pruneEmailChanges(kysely, now),
    () => pruneUsers(kysely, now - RESTORABLE_MS, config.tokenableTypes),
    () => attemptCounts.prune(),
  ]) {
    await prune().catch(error => onFailure(error, 'expired rows could not be deleted'))
  }
}

/** Deletes the tokens that expired before `ended`, by their own date or by their age. */
export const pruneEndedTokens = (
  kysely: Kysely<Schema>,
  { tokenExpiration }: Pick<Config, 'tokenExpiration'>,
  ended: EpochMillis,
): Promise<void> =>
  pruneTokens(kysely, ended, tokenExpiration === null ? null : ended - tokenExpiration * MINUTE_MS)
