import { type Kysely, sql } from 'kysely'
import type {
  Challenge,
  PasswordStamp,
  Session,
  SessionDigest,
  SessionId,
  SessionPayload,
} from '../auth/session.ts'
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
}

/** A session to be stored. Times are milliseconds since the epoch. */
export interface NewSession {
  id: SessionId
  /** Null for nobody. */
  login: SessionLogin | null
  challenge: Challenge | null
  browser: Browser
  now: number
}

/** Stores a session in the place of another one, if there is one, in one statement. */
export async function replaceSession(
  db: Kysely<Schema>,
  old: SessionDigest | null,
  { id, login, challenge, browser, now }: NewSession,
): Promise<Session> {
  const at = seconds(now)
  const payload: SessionPayload = {
    created_at: at,
    ...(login && { password: login.password }),
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
  await db
    .with('replaced', query => query.deleteFrom('sessions').where('id', '=', old ?? ''))
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
    createdAt: at * 1000,
    lastActivityAt: at * 1000,
    passwordConfirmedAt: null,
    device: login?.device ?? null,
    isDeviceUnseen: login?.isDeviceUnseen ?? false,
    challenge,
  }
}

/**
 * Stores that a session's user has just entered the password. A session that is over meanwhile stays over.
 *
 * @param now milliseconds since the epoch
 */
export async function confirmPassword(db: Kysely<Schema>, id: SessionDigest, now: number): Promise<void> {
  const change = JSON.stringify({ password_confirmed_at: seconds(now) } satisfies Partial<SessionPayload>)
  await db
    .updateTable('sessions')
    .set({ payload: sql<string>`(payload::jsonb || ${change}::jsonb)::text` })
    .where('id', '=', id)
    .execute()
}

/** When a session was used, and by which browser; `at` in milliseconds since the epoch. */
export interface Activity extends Browser {
  at: number
}

/**
 * Writes when sessions were last used, in one statement that locks rows in ascending order of id and never
 * turns a time back. Sessions that are over meanwhile stay over.
 */
export async function writeActivity(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: SessionDigest, activity: Activity])[],
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
    locked as (select id from sessions where id = any(${ids}::text[]) order by id for update)
    update sessions as s
    set last_activity = greatest(s.last_activity, used.at), ip_address = used.ip_address, user_agent = used.user_agent
    from used join locked using (id)
    where s.id = used.id`.execute(db)
}

/** Deletes the sessions that nobody has used since a moment, in milliseconds since the epoch. */
export async function pruneSessions(db: Kysely<Schema>, before: number): Promise<number> {
  return deleteInBatches(db, 'sessions', sql`last_activity < ${seconds(before)}`)
}
