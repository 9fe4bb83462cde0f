import { type Kysely, sql } from 'kysely'
import { DAY_MS, MINUTE_MS, millisToSeconds, timestampToMillis } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** How many days before the end of a token its user is reminded: the second time on the last day. */
const FIRST_DAYS = 7
const LAST_DAYS = 1

/** Tokens that nobody has used for so long are nobody's any more, in milliseconds. */
const UNUSED_MS = 90 * DAY_MS

/** Which tokens are meant. */
export interface Reminding {
  /** The class names that mean a user. */
  types: readonly string[]
  /** Minutes after its creation at which any token ends; null for never. */
  tokenExpiration: number | null
  /** Milliseconds since the epoch. */
  now: number
}

/**
 * The CTE `due` of tokens whose end is near, by their own date or by age, with the number of days that the reminder is
 * called by. Left out are tokens of users who are deleted or whose address was never verified, tokens that are not in use,
 * that are younger than the reminder would be old, that have a successor, and of which their users were reminded.
 *
 * @param limits further conditions on the user's id, `u.id`
 */
function withDue({ types, tokenExpiration, now }: Reminding, limits = sql`true`) {
  const at = (millis: number) => sql`${millisToSeconds(millis)}::timestamp`
  const ageMs = tokenExpiration === null ? null : tokenExpiration * MINUTE_MS
  const horizon = FIRST_DAYS * DAY_MS
  const end =
    ageMs === null
      ? sql`t.expires_at`
      : sql`least(t.expires_at, t.created_at + ${`${tokenExpiration} minutes`}::interval)`
  // By the indexes of both dates.
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
 * Users with tokens of whose end they are to be reminded, by id.
 *
 * @param page.after the id behind which to begin
 */
export async function findUsersToRemind(
  db: Kysely<Schema>,
  reminding: Reminding,
  { after, most }: { after: number; most: number },
): Promise<number[]> {
  const { rows } = await sql<{ user_id: number }>`
    with ${withDue(reminding, sql`u.id > ${after}::bigint`)}
    select distinct user_id from due order by user_id limit ${most}`.execute(db)
  return rows.map(row => row.user_id)
}

/** A user who is to be reminded of the end of some tokens. */
export interface Reminder {
  name: string
  email: string
  tokens: [RemindedToken, ...RemindedToken[]]
}

/** One of them. */
export interface RemindedToken {
  name: string
  /** Milliseconds since the epoch. */
  endsAt: number
}

/**
 * Claims the reminders of some users, each for whoever claims it first over all instances: rows are inserted in one order,
 * so that others wait for this statement to commit and then find nothing left.
 */
export async function claimReminders(
  db: Kysely<Schema>,
  reminding: Reminding,
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

/** Forgets the reminders of tokens that there are no more. */
export async function pruneTokenReminders(db: Kysely<Schema>): Promise<number> {
  return deleteInBatches(
    db,
    'token_reminders',
    sql`not exists (select from personal_access_tokens t where t.id = token_id)`,
  )
}
