import { type Kysely, sql, type Transaction } from 'kysely'
import {
  type Challenge,
  challengeOf,
  LOGIN_LIFETIME_MS,
  liveSince,
  type PasswordStamp,
  parseSessionPayload,
  type Session,
  type SessionDigest,
  type SessionId,
  type SessionLifetimes,
  type SessionPayload,
} from '#src/auth/session.ts'
import { MINUTE_MS, millisToSeconds } from '#src/auth/time.ts'
import { deleteInBatches } from './prune.ts'
import type { Schema } from './schema.ts'

/** What is stored of the browser that a session belongs to, for its user to recognise it by. */
export interface Browser {
  address: string
  userAgent: string | undefined
}

const MAX_ADDRESS = 45
const MAX_USER_AGENT = 500

/** The columns that hold it. */
export const browserColumns = ({ address, userAgent }: Browser) => ({
  ip_address: address.slice(0, MAX_ADDRESS),
  user_agent: userAgent?.slice(0, MAX_USER_AGENT) ?? null,
})

const seconds = (millis: number) => Math.floor(millis / 1000)

/** Who logged in. */
export interface SessionLogin {
  userId: number
  /** The stamp of the password that the login was made with. */
  password: PasswordStamp
  /** The selector of the device, if it is remembered. */
  device: string | null
  /** Whether a new token of the device comes along. */
  isDeviceUnseen?: boolean
  /** When the password was entered, if that was before the login; milliseconds since the epoch. */
  enteredAt?: number
}

/** A session to be stored. Times are milliseconds since the epoch. */
export interface NewSession {
  id: SessionId
  /** Null for nobody. */
  login: SessionLogin | null
  challenge: Challenge | null
  browser: Browser
  now: number
  /** What a session of the same login hands on to the one that takes its place: when it began; milliseconds. */
  createdAt?: number
  /** When the user has confirmed the password; milliseconds since the epoch. */
  passwordConfirmedAt?: number | null
}

/**
 * Stores a session in the place of another one, if there is one, in one statement. The row of that one stays for its
 * lifetime as a replaced session of no user: its browser already received the new cookie, and an answer to a request
 * that it sent before must not bring another one.
 */
export async function replaceSession(
  db: Kysely<Schema>,
  old: SessionDigest | null,
  { id, login, challenge, browser, now, createdAt = now, passwordConfirmedAt = null }: NewSession,
): Promise<Session> {
  const at = seconds(now)
  const began = seconds(createdAt)
  const entered = seconds(login?.enteredAt ?? createdAt)
  const payload: SessionPayload = {
    created_at: began,
    ...(entered !== began && { entered_at: entered }),
    ...(login && { password: login.password }),
    ...(passwordConfirmedAt !== null && { password_confirmed_at: seconds(passwordConfirmedAt) }),
    ...(login?.device && { device: login.device }),
    ...(login?.isDeviceUnseen && { device_unseen: true as const }),
    ...(challenge && {
      challenge: {
        user_id: challenge.userId,
        password: challenge.password,
        remember: challenge.remember,
        at: seconds(challenge.at),
      },
    }),
  }
  const replaced: SessionPayload = { created_at: at, replaced_at: at }
  await db
    .with('replaced', query =>
      query
        .updateTable('sessions')
        .set({
          user_id: null,
          ip_address: null,
          user_agent: null,
          payload: JSON.stringify(replaced),
          last_activity: at,
        })
        .where('id', '=', old ?? ''),
    )
    .insertInto('sessions')
    .values({
      id: id.digest(),
      user_id: login?.userId ?? null,
      ...browserColumns(browser),
      payload: JSON.stringify(payload),
      last_activity: at,
    })
    .execute()
  return {
    id,
    userId: login?.userId ?? null,
    createdAt: began * 1000,
    lastActivityAt: at * 1000,
    enteredAt: entered * 1000,
    passwordConfirmedAt: passwordConfirmedAt === null ? null : seconds(passwordConfirmedAt) * 1000,
    device: login?.device ?? null,
    isDeviceUnseen: login?.isDeviceUnseen ?? false,
    challenge,
  }
}

/**
 * Locks a session that waits for a second factor until the transaction ends; null if it does not wait any more: another
 * answer to the challenge took its place, or it was ended.
 */
export async function takeChallenge(
  transaction: Transaction<Schema>,
  id: SessionDigest,
): Promise<Challenge | null> {
  const row = await transaction
    .selectFrom('sessions')
    .select('payload')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  const payload = row && parseSessionPayload(row.payload)
  return payload ? challengeOf(payload) : null
}

/** When a session was used, and by which browser; `at` in milliseconds since the epoch. */
export interface Activity extends Browser {
  at: number
}

/**
 * The latest moment at which something can have been used, when clocks of instances differ a little: what is stored
 * beyond it was written by a clock that was wrong. In milliseconds since the epoch, as is `now`.
 */
export const latestUse = (now: number): number => now + 5 * MINUTE_MS

/**
 * Writes when sessions were last used, in one statement that turns no time back, but for one that lies in the future.
 * Sessions that are over meanwhile stay over. A row that somebody holds is left out, so that this waits for nobody and
 * no deadlock can include it: the request that holds it notes its own use when it ends.
 *
 * @param now milliseconds since the epoch
 */
export async function writeActivity(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: SessionDigest, activity: Activity])[],
  now: number,
): Promise<void> {
  const ids = uses.map(([id]) => id)
  const moments = uses.map(([, { at }]) => seconds(at))
  const browsers = uses.map(([, browser]) => browserColumns(browser))
  await sql`
    with used as (
      select * from unnest(
        ${ids}::text[], ${moments}::int[],
        ${browsers.map(({ ip_address }) => ip_address)}::text[],
        ${browsers.map(({ user_agent }) => user_agent)}::text[]
      ) as used (id, at, ip_address, user_agent)
    ),
    locked as (select id from sessions where id = any(${ids}::text[]) for update skip locked)
    update sessions as s
    set last_activity = case
        when s.last_activity > ${seconds(latestUse(now))} then used.at
        else greatest(s.last_activity, used.at)
      end,
      ip_address = used.ip_address, user_agent = used.user_agent
    from used join locked using (id)
    where s.id = used.id and s.payload not like '%"replaced_at"%'`.execute(db)
}

/** What a device is known by: whoever has the selector itself can have the device forgotten. */
const DEVICE_ID = `encode(sha256(convert_to(selector, 'UTF8')), 'hex')`

/** A browser in which a user is logged in, or stays so. */
export interface KnownBrowser {
  /** The session's digest; or that of the device's selector, when it is remembered and has no session. */
  id: string
  address: string | null
  userAgent: string | null
  /** Milliseconds since the epoch. */
  lastActiveAt: number
  isRemembered: boolean
}

/**
 * The browsers of a user, last used first.
 *
 * @param now milliseconds since the epoch
 */
export async function listBrowsers(
  db: Kysely<Schema>,
  userId: number,
  now: number,
  lifetimes: SessionLifetimes,
): Promise<KnownBrowser[]> {
  const { used, begun } = liveSince(now, lifetimes)
  const { rows } = await sql<{
    id: string
    ip_address: string | null
    user_agent: string | null
    last_active: number
    is_remembered: boolean
  }>`
    with own as (
      select id, ip_address, user_agent, last_activity, substring(payload from '"device": ?"([\\w-]+)"') as device
      from sessions
      where user_id = ${userId} and last_activity * 1000::bigint >= ${used}
        and substring(payload from '"created_at": ?(\\d+)')::bigint * 1000 > ${begun}
        and greatest(
          coalesce(substring(payload from '"entered_at": ?(\\d+)'), substring(payload from '"created_at": ?(\\d+)'))::bigint,
          substring(payload from '"password_confirmed_at": ?(\\d+)')::bigint
        ) * 1000 > ${now - LOGIN_LIFETIME_MS}
    )
    select id, ip_address, user_agent, last_activity::bigint as last_active, device is not null as is_remembered from own
    union all
    select ${sql.raw(DEVICE_ID)}, ip_address, user_agent, extract(epoch from last_used_at)::bigint, true
    from remembered_devices
    where user_id = ${userId} and expires_at > ${millisToSeconds(now)}::timestamp
      and selector not in (select device from own where device is not null)
    order by last_active desc, id`.execute(db)
  return rows.map(row => ({
    id: row.id,
    address: row.ip_address,
    userAgent: row.user_agent,
    lastActiveAt: Number(row.last_active) * 1000,
    isRemembered: row.is_remembered,
  }))
}

/**
 * Ends one of a user's browsers, or all but the session at hand: sessions, and what would begin them anew. With a device
 * every session ends that it began; with all of them an e-mail address that one of them may have asked for waits no more.
 *
 * @param which the id that {@link listBrowsers} gives it, or the session that goes on; null for none
 * @returns how many there were
 */
export async function endBrowsers(
  db: Kysely<Schema>,
  userId: number,
  which: { id: string } | { except: SessionDigest | null },
): Promise<number> {
  const [session, device] =
    'id' in which
      ? [
          sql`(own.id = ${which.id} or own.selector in (select selector from named))`,
          sql`selector in (select selector from named)`,
        ]
      : [
          sql`own.id is distinct from ${which.except}`,
          sql`selector is distinct from (select selector from own where own.id = ${which.except})`,
        ]
  const { rows } = await sql<{ count: number }>`
    with own as (
      select id, substring(payload from '"device": ?"([\\w-]+)"') as selector from sessions where user_id = ${userId}
    ), named as (
      select selector from own where id = ${'id' in which ? which.id : ''} and selector is not null
      union
      select selector from remembered_devices
      where user_id = ${userId} and ${sql.raw(DEVICE_ID)} = ${'id' in which ? which.id : ''}
    ), pending as (
      delete from pending_email_changes where user_id = ${userId} and ${'except' in which}::boolean
    ), forgotten as (
      delete from remembered_devices where user_id = ${userId} and ${device} returning selector
    ), ended as (
      delete from sessions where id in (select id from own where ${session}) returning id
    )
    select (select count(*) from ended) + (select count(*) from forgotten) as count`.execute(db)
  return Number(rows[0]?.count ?? 0)
}

/** Ends the sessions that a user's remembered device began, but for one if that is named. */
export async function endSessionsOfDevice(
  db: Kysely<Schema>,
  { userId, selector, except = null }: { userId: number; selector: string; except?: SessionDigest | null },
): Promise<void> {
  await db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    // With a space once PostgreSQL has written it. Other payloads need not be JSON.
    .where(sql<boolean>`payload ~ ${`"device": ?"${selector}"`}`)
    .where(sql<boolean>`id is distinct from ${except}`)
    .execute()
}

/** Deletes the sessions that nobody has used since a moment, in milliseconds since the epoch. */
export async function pruneSessions(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'sessions', sql`last_activity < ${seconds(before)}`)
}
