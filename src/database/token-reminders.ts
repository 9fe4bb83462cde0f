import { type Kysely, sql } from 'kysely'
import { DAY_MS, MINUTE_MS, millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** How many days before the expiry of a token its user is reminded: a first time, and again on the last day. */
const FIRST_DAYS = 7
const LAST_DAYS = 1

/** Users are not reminded of tokens without use for so long. */
const UNUSED_MS: Millis = 90 * DAY_MS

/** What decides which tokens are due. */
export interface ReminderOptions {
  /** The `tokenable_type` values of users. */
  types: readonly string[]
  /** The maximum age of tokens in minutes; null for none. */
  tokenExpiration: number | null
  now: EpochMillis
}

/**
 * The CTE `due` of tokens that expire soon, by their own date or by age, with the number of days of the reminder.
 * Excludes tokens of users who are deleted or unverified, tokens that are unused, that were created after the reminder
 * would have been due, that have a successor, and whose reminder was sent.
 *
 * @param limits further conditions on the user's id, `u.id`
 */
function withDue({ types, tokenExpiration, now }: ReminderOptions, limits = sql`true`) {
  const at = (millis: EpochMillis) => sql`${millisToSeconds(millis)}::timestamp`
  const ageMs = tokenExpiration === null ? null : tokenExpiration * MINUTE_MS
  const horizon = FIRST_DAYS * DAY_MS
  const end =
    ageMs === null
      ? sql`t.expires_at`
      : sql`least(t.expires_at, t.created_at + ${`${tokenExpiration} minutes`}::interval)`
  // Uses the indexes of both dates.
  const isNear =
    ageMs === null
      ? sql`t.expires_at > ${at(now)} and t.expires_at <= ${at(now + horizon)}`
      : sql`(
          t.expires_at > ${at(now)} and t.expires_at <= ${at(now + horizon)}
          or t.created_at > ${at(now - ageMs)} and t.created_at <= ${at(now + horizon - ageMs)}
        ) and t.created_at is not null`
  return sql`
    due as (
      select u.id as user_id, u.name as user_name, u.email, ending.* from (
        select t.id, t.name, t.token, t.tokenable_id, t.created_at, ${end} as ends_at,
          case when ${end} <= ${at(now + LAST_DAYS * DAY_MS)} then ${LAST_DAYS}::int else ${FIRST_DAYS}::int end as days
        from personal_access_tokens t
        where t.tokenable_type = any(${types}::text[]) and ${isNear} and t.last_used_at >= ${at(now - UNUSED_MS)}
      ) as ending
      join users u on u.id = ending.tokenable_id and u.deleted_at is null and u.email_verified_at is not null
      where ${limits} and ending.ends_at > ${at(now)} and ending.ends_at <= ${at(now + horizon)}
        and coalesce(ending.created_at <= ending.ends_at - make_interval(days => ending.days), true)
        and not exists (select from token_successors s where s.digest = ending.token)
        and not exists (select from token_reminders r where r.token_id = ending.id and r.days = ending.days)
    )`
}

/**
 * Lists the ids of users with due reminders, in ascending order.
 *
 * @param page.after the id after which to begin
 */
export async function findUsersToRemind(
  db: Kysely<Schema>,
  reminding: ReminderOptions,
  { after, limit }: { after: number; limit: number },
): Promise<number[]> {
  const { rows } = await sql<{ user_id: number }>`
    with ${withDue(reminding, sql`u.id > ${after}::bigint`)}
    select distinct user_id from due order by user_id limit ${limit}`.execute(db)
  return rows.map(row => row.user_id)
}

/** A reminder to one user about some tokens. */
export interface Reminder {
  name: string
  email: string
  tokens: [RemindedToken, ...RemindedToken[]]
}

/** A token of a reminder. */
export interface RemindedToken {
  name: string
  endsAt: EpochMillis
}

/**
 * Claims the reminders of some users: over all instances each reminder is claimed once. Rows are inserted in one order,
 * so concurrent calls wait for this statement to commit and then find nothing left.
 */
export async function claimReminders(
  db: Kysely<Schema>,
  reminding: ReminderOptions,
  userIds: readonly number[],
): Promise<Reminder[]> {
  const { rows } = await sql<{
    user_id: number
    user_name: string
    email: string
    name: string
    ends_at: string
  }>`
    with ${withDue(reminding, sql`u.id = any(${userIds}::bigint[])`)},
    claimed as (
      insert into token_reminders (token_id, days) select id, days from due order by id, days
      on conflict do nothing returning token_id
    )
    select user_id, user_name, email, name, ends_at::text from due join claimed on claimed.token_id = due.id
    order by user_id, ends_at, id`.execute(db)
  const reminders = new Map<number, Reminder>()
  for (const { user_id, user_name, email, name, ends_at } of rows) {
    const token = { name, endsAt: timestampToMillis(ends_at) }
    const reminder = reminders.get(user_id)
    if (reminder === undefined) reminders.set(user_id, { name: user_name, email, tokens: [token] })
    else reminder.tokens.push(token)
  }
  return [...reminders.values()]
}

/** Deletes the reminders of tokens that no longer exist. */
export async function pruneTokenReminders(db: Kysely<Schema>): Promise<number> {
  return deleteInBatches(
    db,
    'token_reminders',
    sql`not exists (select from personal_access_tokens t where t.id = token_id)`,
  )
}
