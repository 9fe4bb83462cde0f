import fp from 'fastify-plugin'
import { LRUCache } from 'lru-cache'
import { type Notes, notes } from '#src/auth/notes.ts'
import { liveSince, type SessionDigest } from '#src/auth/session.ts'
import { DAY_MS, MINUTE_MS } from '#src/auth/time.ts'
import { type Activity, latestUse, writeActivity, writeLastUsed } from '#src/database/activity.ts'
import { DELETED_MS, pruneUsers } from '#src/database/deleted-users.ts'
import { pruneDevices } from '#src/database/devices.ts'
import { pruneEmailChanges } from '#src/database/email-changes.ts'
import { pruneEvents } from '#src/database/events.ts'
import { pruneFormSubmissions } from '#src/database/form-submissions.ts'
import { pruneKnownLogins } from '#src/database/known-logins.ts'
import { pruneLoginAddresses } from '#src/database/login-addresses.ts'
import { pruneResetTokens } from '#src/database/password-resets.ts'
import { pruneRegistrations } from '#src/database/registrations.ts'
import { pruneSecurityLinks } from '#src/database/security-links.ts'
import { pruneSessions } from '#src/database/sessions.ts'
import { pruneTokens } from '#src/database/token-pruning.ts'
import { pruneTokenReminders } from '#src/database/token-reminders.ts'
import { browserOf } from '#src/http/http.ts'
import { lazy } from '#src/runtime/lazy.ts'

declare module 'fastify' {
  interface FastifyInstance {
    activity: {
      /** When and from where tokens were last used, by the ids of their rows. */
      tokens: Notes<number, Activity>
      sessions: Notes<SessionDigest, Activity>
      /** Writes both. What cannot be written yet is written the next time. */
      flush(): Promise<void>
      /**
       * Deletes what is over: sessions, tokens, remembered devices, reset tokens, links of mails, browsers and networks
       * that nobody uses, forms sent a day ago, old events, users deleted a month ago, counts of attempts.
       */
      prune(): Promise<void>
    }
  }
}

const FLUSH_INTERVAL_MS = 5_000
const PRUNE_INTERVAL_MS = 600_000

/** A session's time is written once in this time at most, in milliseconds. */
const SESSION_GRAIN_MS = MINUTE_MS

/** How many sessions are known to have been noted within that time. */
const NOTED_CAPACITY = 10_000

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

/** Whether a session's stored time is to be written anew: it is too old, or so late that a wrong clock wrote it. */
const isOutdated = (storedAt: number, now: number) =>
  now - storedAt >= SESSION_GRAIN_MS || storedAt > latestUse(now)

/** Notes when tokens and sessions are used, writes the notes every few seconds and at the end, and clears up. */
export default fp(
  async app => {
    const { clock, monotonic, config, log } = app
    const { kysely } = app.database
    const tokens = notes<number, Activity>(uses => writeLastUsed(kysely, uses, clock()))
    const sessions = notes<SessionDigest, Activity>(uses => writeActivity(kysely, uses, clock()))

    // When each was noted, in milliseconds of the monotonic clock.
    const noted = lazy(() => new LRUCache<SessionDigest, number>({ max: NOTED_CAPACITY }))

    const warn = (message: string) => (error: unknown) => {
      if (!app.noteOutage(error)) log.warn({ err: error }, message)
    }
    app.decorate('activity', {
      tokens,
      sessions,
      async flush() {
        await tokens.flush().catch(warn('last_used_at could not be written yet'))
        await sessions.flush().catch(warn('last_activity could not be written yet'))
      },
      async prune() {
        const { tokenExpiration } = config
        const now = clock()
        const ended = now - ENDED_TOKENS_MS
        // One that fails keeps no other waiting.
        for (const prune of [
          () => pruneSessions(kysely, liveSince(now, config).used),
          () => pruneLoginAddresses(kysely, now - ADDRESS_MEMORY_MS),
          () => pruneKnownLogins(kysely, now - KNOWN_LOGINS_MS),
          () => pruneSecurityLinks(kysely, now),
          () =>
            pruneTokens(kysely, ended, tokenExpiration === null ? null : ended - tokenExpiration * MINUTE_MS),
          () => pruneTokenReminders(kysely),
          () => pruneEvents(kysely, now - EVENTS_MS),
          () => pruneDevices(kysely, now),
          () => pruneResetTokens(kysely, now),
          () => pruneRegistrations(kysely, now),
          () => pruneFormSubmissions(kysely, now - SENT_FORMS_MS),
          () => pruneEmailChanges(kysely, now),
          () => pruneUsers(kysely, now - DELETED_MS, config.tokenableTypes),
          () => app.attemptCounts.prune(),
        ]) {
          await prune().catch(warn('what is over could not be deleted'))
        }
      },
    })
    const { activity } = app

    app.onRequestEnd(request => {
      const { identity, session } = request
      const at = clock()
      if (identity?.via === 'token') tokens.note(identity.token.id, { at, ...browserOf(request) })
      if (session !== null && isOutdated(session.lastActivityAt, at)) {
        const digest = session.id.digest()
        const now = monotonic()
        // What the request knew of the session may be from before the last note.
        if (now - (noted().get(digest) ?? Number.NEGATIVE_INFINITY) >= SESSION_GRAIN_MS) {
          noted().set(digest, now)
          sessions.note(digest, { at, ...browserOf(request) })
        }
      }
    })

    const timers: NodeJS.Timeout[] = []
    app.addHook('onReady', async () => {
      timers.push(
        setInterval(activity.flush, FLUSH_INTERVAL_MS).unref(),
        setInterval(activity.prune, PRUNE_INTERVAL_MS).unref(),
      )
    })
    app.addHook('onClose', async () => {
      for (const timer of timers) clearInterval(timer)
      await activity.flush()
    })
  },
  { name: 'activity', dependencies: ['counters', 'identify', 'request-end'] },
)
