import { type Kysely, sql } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import { MINUTE_MS, millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { type Browser, browserColumns } from './browsers.ts'
import type { Schema } from './schema.ts'

const seconds = (millis: EpochMillis) => Math.floor(millis / 1000)

/** A last-use note: when, and from which address and browser. */
export interface LastUseNote extends Browser {
  at: EpochMillis
}

/**
 * Returns the latest plausible time of use, allowing for clock skew between instances. A later stored time was written
 * by a wrong clock.
 */
export const latestUse = (now: EpochMillis): EpochMillis => now + 5 * MINUTE_MS

/**
 * Writes last-use notes of sessions in one statement. Times never decrease, except one that lies in the future.
 * Replaced sessions stay replaced. Locked rows are skipped, so that this never waits nor deadlocks: the request that
 * holds the lock notes its own use.
 */
export async function writeSessionUses(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: SessionDigest, activity: LastUseNote])[],
  now: EpochMillis,
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

/**
 * Writes last-use notes of tokens in one statement. Times never decrease, except one that lies in the future. Locked
 * rows are skipped, so that this never waits nor deadlocks: the request that holds the lock notes its own use.
 */
export async function writeTokenUses(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: number, use: LastUseNote])[],
  now: EpochMillis,
): Promise<void> {
  const ids = uses.map(([id]) => id)
  const moments = uses.map(([, { at }]) => millisToSeconds(at))
  const programs = uses.map(([, use]) => browserColumns(use))
  await sql`
    with used as (
      select * from unnest(
        ${ids}::bigint[], ${moments}::timestamp[],
        ${programs.map(({ ip_address }) => ip_address)}::text[],
        ${programs.map(({ user_agent }) => user_agent)}::text[]
      ) as used (id, at, ip_address, user_agent)
    ),
    locked as (
      select id from personal_access_tokens where id = any(${ids}::bigint[]) for update skip locked
    )
    update personal_access_tokens as t
    set last_used_at = used.at, last_used_ip = used.ip_address, last_used_agent = used.user_agent
    from used join locked using (id)
    where t.id = used.id and (
      t.last_used_at is null or t.last_used_at <= used.at
      or t.last_used_at > ${millisToSeconds(latestUse(now))}::timestamp
    )`.execute(db)
}
