import type { Kysely } from 'kysely'
import { HOUR_MS, MINUTE_MS } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import type { Identities } from '#src/database/identities.ts'
import type { Schema } from '#src/database/schema.ts'
import { claimReminders, findUsersToRemind } from '#src/database/token-reminders.ts'
import type { UserMailer } from '#src/mail/user-mailer.ts'
import type { Schedule } from '#src/runtime/schedule.ts'

/** When tokens that end soon are first looked for, and then again, in milliseconds. */
const FIRST_LOOK_MS = MINUTE_MS
const LOOK_MS = HOUR_MS

/** How many users are reminded at once, and when the next ones are, so that mails are not dropped. */
const REMINDED_AT_ONCE = 100
const NEXT_LOOK_MS = MINUTE_MS

/** Reminds users once an hour of tokens that end soon. */
export interface TokenReminders {
  start(): void
  stop(): void
}

/** What {@link createTokenReminders} works with. */
export interface TokenRemindersDeps {
  config: Pick<Config, 'appUrl' | 'tokenableTypes' | 'tokenExpiration'>
  kysely: Kysely<Schema>
  identities: Pick<Identities, 'user'>
  /** Milliseconds since the epoch. */
  clock: () => number
  schedule: Schedule
  mail: Pick<UserMailer, 'notify'>
  /** Does something in the background, once all before is done. */
  run: <T>(work: () => Promise<T>) => Promise<T>
  /** Hears why users could not be reminded. */
  onFailure: (error: unknown) => void
}

/** Makes the {@link TokenReminders} of a server. */
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
   * Reminds some users of tokens that end soon.
   *
   * @param after the id of the user behind whom to begin
   * @returns the id of the last one; null when there are no more
   */
  const remind = async (after: number): Promise<number | null> => {
    const { tokenableTypes: types, tokenExpiration } = config
    const reminding = { types, tokenExpiration, now: clock() }
    const ids = await findUsersToRemind(kysely, reminding, { after, most: REMINDED_AT_ONCE })
    const known = await Promise.all(ids.map(id => identities.user(id)))
    // Those who are banned from everything cannot replace a token.
    const reachable = known.flatMap(one => (one !== null && one.ban === null ? [one.user.id] : []))
    const reminders = reachable.length === 0 ? [] : await claimReminders(kysely, reminding, reachable)
    const page = { tokensUrl: new URL(PANEL_PATH, config.appUrl).href }
    for (const reminder of reminders) {
      await mail
        .notify('tokensEnding', reminder, text => text(reminder, reminder.tokens, page))
        .catch(onFailure)
    }
    return ids.length < REMINDED_AT_ONCE ? null : (ids.at(-1) ?? null)
  }

  let isStopped = false
  let cancel = () => {}
  const planLook = (ms: number, after: number) => {
    if (isStopped) return
    cancel = schedule(ms, () => {
      void run(() => remind(after))
        .catch(error => {
          onFailure(error)
          return null
        })
        .then(last => planLook(last === null ? LOOK_MS : NEXT_LOOK_MS, last ?? 0))
    })
  }

  return {
    start: () => planLook(FIRST_LOOK_MS, 0),
    stop() {
      isStopped = true
      cancel()
    },
  }
}
