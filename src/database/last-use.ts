import { type Kysely, sql } from 'kysely'
import type { SessionDigest } from '#src/auth/session.ts'
import { MINUTE_MS, millisToSeconds } from '#src/auth/time.ts'
import { type Browser, browserColumns } from './browsers.ts'
import type { Schema } from './schema.ts'

const seconds = (millis: number) => Math.floor(millis / 1000)

/** When a session was used, and by which browser; `at` in milliseconds since the epoch. */
export interface LastUseNote extends Browser {
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
export async function writeSessionUses(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: SessionDigest, activity: LastUseNote])[],
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

/**
 * Writes when and from where tokens were last used, in one statement that turns no date back, but for one that lies in
 * the future. A row that somebody holds is left out, so that this waits for nobody and no deadlock can include it: the
 * request that holds it notes its own use when it ends.
 *
 * @param now milliseconds since the epoch
 */
export async function writeTokenUses(
  db: Kysely<Schema>,
  uses: readonly (readonly [id: number, use: LastUseNote])[],
  now: number,
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
