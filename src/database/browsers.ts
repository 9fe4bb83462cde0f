import { type Kysely, sql } from 'kysely'
import {
  LOGIN_LIFETIME_MS,
  liveThresholds,
  type SessionDigest,
  type SessionLifetimes,
} from '#src/auth/session.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/** What a session stores about its browser, shown to its user. */
export interface Browser {
  address: string
  userAgent: string | undefined
}

const MAX_ADDRESS = 45
const MAX_USER_AGENT = 500

/** A {@link Browser} as its columns, truncated to their lengths. */
export const browserColumns = ({ address, userAgent }: Browser) => ({
  ip_address: address.slice(0, MAX_ADDRESS),
  user_agent: userAgent?.slice(0, MAX_USER_AGENT) ?? null,
})

/**
 * The public id of a device: a hash of its selector, since knowing the selector is enough to make the server forget it.
 */
const DEVICE_ID = `encode(sha256(convert_to(selector, 'UTF8')), 'hex')`

/** A browser in which a user is logged in or remembered. */
export interface KnownBrowser {
  /** The session's digest; for a remembered device without a session, the digest of its selector. */
  id: string
  address: string | null
  userAgent: string | null
  lastActiveAt: EpochMillis
  isRemembered: boolean
}

/** Lists a user's browsers, most recently used first. */
export async function listBrowsers(
  db: Kysely<Schema>,
  userId: number,
  now: EpochMillis,
  lifetimes: SessionLifetimes,
): Promise<KnownBrowser[]> {
  const { used, begun } = liveThresholds(now, lifetimes)
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
 * Ends one of a user's browsers, or all except one session: deletes sessions and the remembered devices that could
 * start new ones. Ending a device ends every session that it started. Ending all also deletes a pending e-mail change,
 * which one of them may have requested.
 *
 * @param which the `id` of {@link listBrowsers}, or the session to keep; null keeps none
 * @returns how many browsers were ended
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
