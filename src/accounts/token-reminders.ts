import type { Kysely } from 'kysely'
import { HOUR_MS, MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { publicUrl } from '#src/config/public-url.ts'
import type { Identities } from '#src/database/identities.ts'
import type { Schema } from '#src/database/schema.ts'
import { claimReminders, findUsersToRemind } from '#src/database/token-reminders.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'

/** When the first run starts, and the interval of further runs. */
const FIRST_RUN_MS: Millis = MINUTE_MS
const INTERVAL_MS: Millis = HOUR_MS

/** Users per batch, and the delay before the next batch, so that the mail queue does not overflow. */
const BATCH_SIZE = 100
const NEXT_BATCH_MS: Millis = MINUTE_MS

/** Reminds users of tokens that end soon, once an hour. */
export interface TokenReminders {
  start(): void
  stop(): void
}

/** Dependencies of {@link createTokenReminders}. */
export interface TokenRemindersDeps {
  config: Pick<Config, 'appUrl' | 'tokenableTypes' | 'tokenExpiration'>
  kysely: Kysely<Schema>
  identities: Pick<Identities, 'user'>
  clock: () => EpochMillis
  schedule: Schedule
  mail: Pick<UserMailer, 'notify'>
  /** Runs work in the background, after the work queued before. */
  run: <T>(work: () => Promise<T>) => Promise<T>
  /** Called for each failure. */
  onFailure: (error: unknown) => void
}

/** Creates the {@link TokenReminders} of a server. */
export function createTokenReminders({
  config,
  kysely,
  identities,
  clock,
  schedule,
  mail,
  run,
  onFailure,
}: TokenRemindersDeps): TokenReminders {
  /**
   * Reminds one batch of users.
   *
   * @param after the last user id of the batch before
   * @returns the last user id of this batch; null after the last batch
   */
  const remindBatch = async (after: number): Promise<number | null> => {
    const { tokenableTypes: types, tokenExpiration } = config
    const criteria = { types, tokenExpiration, now: clock() }
    const ids = await findUsersToRemind(kysely, criteria, { after, limit: BATCH_SIZE })
    const users = await Promise.all(ids.map(id => identities.user(id)))
    // A user who is banned from everything cannot replace a token.
    const reachable = users.flatMap(one => (one !== null && one.ban === null ? [one.user.id] : []))
    const reminders = reachable.length === 0 ? [] : await claimReminders(kysely, criteria, reachable)
    const page = { tokensUrl: publicUrl(config.appUrl, PANEL_PATH).href }
    for (const reminder of reminders) {
      await mail
        .notify('tokensEnding', reminder, text => text(reminder, reminder.tokens, page))
        .catch(onFailure)
    }
    return ids.length < BATCH_SIZE ? null : (ids.at(-1) ?? null)
  }

  let isStopped = false
  let cancel = () => {}
  const scheduleRun = (ms: number, after: number) => {
    if (isStopped) return
    cancel = schedule(ms, () => {
      void run(() => remindBatch(after))
        .catch(error => {
          onFailure(error)
          return null
        })
        .then(last => scheduleRun(last === null ? INTERVAL_MS : NEXT_BATCH_MS, last ?? 0))
    })
  }

  return {
    start: () => scheduleRun(FIRST_RUN_MS, 0),
    stop() {
      isStopped = true
      cancel()
    },
  }
}
