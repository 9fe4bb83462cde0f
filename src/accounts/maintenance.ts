import type { Kysely } from 'kysely'
import { liveSince, type SessionLifetimes } from '#src/auth/session.ts'
import { DAY_MS, MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { DELETED_MS, pruneUsers } from '#src/database/deleted-users.ts'
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

/** How long it is remembered that somebody logged in from an address, in milliseconds. */
const ADDRESS_MEMORY_MS = 90 * DAY_MS

/** How long the browsers and networks are known from which a user logs in, in milliseconds. */
const KNOWN_LOGINS_MS = 400 * DAY_MS

/** How long a token that has ended is still listed, in milliseconds, as with Sanctum's own command. */
const ENDED_TOKENS_MS = DAY_MS

/** How long it is remembered what happened to accounts, in milliseconds. */
const EVENTS_MS = 365 * DAY_MS

/** How long it is known that a form was sent, in milliseconds. */
const SENT_FORMS_MS = DAY_MS

interface PruningOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes' | 'tokenExpiration'> & SessionLifetimes
  attemptCounts: Pick<AttemptCounts, 'prune'>
  /** Told of what could not be deleted, with a sentence for the log: it keeps nothing else waiting. */
  onFailure(error: Error, sentence: string): void
}

/**
 * Deletes what is over: sessions, tokens, remembered devices, reset tokens, links of mails, browsers and networks that
 * nobody uses, forms sent a day ago, old events, users deleted a month ago, counts of attempts.
 *
 * @param now milliseconds since the epoch
 */
export async function pruneExpired(
  { kysely, config, attemptCounts, onFailure }: PruningOptions,
  now: number,
): Promise<void> {
  for (const prune of [
    () => pruneSessions(kysely, liveSince(now, config).used),
    () => pruneLoginAddresses(kysely, now - ADDRESS_MEMORY_MS),
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
    () => pruneUsers(kysely, now - DELETED_MS, config.tokenableTypes),
    () => attemptCounts.prune(),
  ]) {
    await prune().catch(error => onFailure(error, 'what is over could not be deleted'))
  }
}

/**
 * Deletes the tokens that ended before a moment, by their own date or by their age.
 *
 * @param ended milliseconds since the epoch
 */
export const pruneEndedTokens = (
  kysely: Kysely<Schema>,
  { tokenExpiration }: Pick<Config, 'tokenExpiration'>,
  ended: number,
): Promise<void> =>
  pruneTokens(kysely, ended, tokenExpiration === null ? null : ended - tokenExpiration * MINUTE_MS)
