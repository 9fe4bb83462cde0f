import { type Kysely, sql, type Transaction } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/** The position of a track: next to another one, by id. */
export type TrackPlacement = { before: number } | { after: number }

/**
 * Locks a playlist's row until commit, so that changes of its tracks serialize; false when there is no such playlist.
 * Read the tracks in a later statement: at READ COMMITTED the one that waited for the lock has an older snapshot.
 */
export async function lockPlaylist(transaction: Transaction<Schema>, playlistId: number): Promise<boolean> {
  const row = await transaction
    .selectFrom('playlists')
    .select('playlist_id')
    .where('playlist_id', '=', playlistId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row !== undefined
}

/** A sort position among a playlist's tracks: on one side of the track with this position and id. */
interface SortPosition {
  position: number
  id: number
  side: -1 | 1
}

/** After all tracks. */
const END: SortPosition = { position: 2_147_483_647, id: 0, side: 1 }

/** Resolves a placement to a sort position; null when its neighbour does not exist. */
export async function resolvePlacement(
  transaction: Transaction<Schema>,
  playlistId: number,
  placement: TrackPlacement | null,
): Promise<SortPosition | null> {
  if (placement === null) return END
  const neighbour = await transaction
    .selectFrom('playlist_tracks')
    .select(['track_id as id', 'position'])
    .where('playlist_id', '=', playlistId)
    .where('track_id', '=', 'before' in placement ? placement.before : placement.after)
    .executeTakeFirst()
  return neighbour === undefined ? null : { ...neighbour, side: 'before' in placement ? -1 : 1 }
}

/**
 * Recomputes positions, links and the playlist's ends from the order of its tracks, with one of them moved if given.
 * Correct rows are not written. The caller holds the playlist's lock.
 */
export async function relinkTracks(
  transaction: Transaction<Schema>,
  playlistId: number,
  now: EpochMillis,
  moved: { id: number; target: SortPosition } | null,
): Promise<void> {
  const { position, id, side } = moved?.target ?? END
  const isMoved = sql`track_id = ${moved?.id ?? null}::bigint`
  await sql`
    with ordered as (
      select track_id,
        lag(track_id) over sequence as previous_id,
        lead(track_id) over sequence as next_id,
        row_number() over sequence as position
      from playlist_tracks
      where playlist_id = ${playlistId}
      window sequence as (
        order by
          case when ${isMoved} then ${position}::integer else position end,
          case when ${isMoved} then ${id}::bigint else track_id end,
          case when ${isMoved} then ${side}::integer else 0 end
      )
    ), linked as (
      update playlist_tracks as t
      set previous_id = o.previous_id, next_id = o.next_id, position = o.position
      from ordered o
      where o.track_id = t.track_id
        and (t.previous_id, t.next_id, t.position) is distinct from (o.previous_id, o.next_id, o.position)
    )
    update playlists
    set first_id = (select track_id from ordered where position = 1),
      last_id = (select track_id from ordered order by position desc limit 1),
      updated_at = ${millisToTimestamp(now)}::timestamp
    where playlist_id = ${playlistId}`.execute(transaction)
}

/** Finds the playlists whose positions, links and ends are inconsistent, as rows of other writers may be. */
export async function findBrokenPlaylists(db: Kysely<Schema>): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`
    with ordered as (
      select playlist_id, track_id, previous_id, next_id, position,
        lag(track_id) over sequence as before_it,
        lead(track_id) over sequence as after_it,
        row_number() over sequence as place
      from playlist_tracks
      window sequence as (partition by playlist_id order by position, track_id)
    )
    select p.playlist_id as id
    from playlists p
    left join ordered first on first.playlist_id = p.playlist_id and first.before_it is null
    left join ordered last on last.playlist_id = p.playlist_id and last.after_it is null
    where (p.first_id, p.last_id) is distinct from (first.track_id, last.track_id)
      or exists (
        select from ordered o
        where o.playlist_id = p.playlist_id
          and (o.previous_id, o.next_id, o.position) is distinct from (o.before_it, o.after_it, o.place)
      )
    order by id`.execute(db)
  return rows.map(({ id }) => id)
}

/**
 * Repairs a playlist: orders its tracks by their links from the first on, and then the unlinked ones by position and
 * id.
 */
export async function repairPlaylist(
  db: Kysely<Schema>,
  playlistId: number,
  now: EpochMillis,
): Promise<void> {
  await db.transaction().execute(async transaction => {
    if (!(await lockPlaylist(transaction, playlistId))) return
    const { first_id } = await transaction
      .selectFrom('playlists')
      .select('first_id')
      .where('playlist_id', '=', playlistId)
      .executeTakeFirstOrThrow()
    const tracks = await transaction
      .selectFrom('playlist_tracks')
      .select(['track_id', 'next_id'])
      .where('playlist_id', '=', playlistId)
      .orderBy('position')
      .orderBy('track_id')
      .execute()
    const remaining = new Map(tracks.map(track => [track.track_id, track]))
    const sequence: number[] = []
    const take = (id: number | null) => {
      const track = id === null ? undefined : remaining.get(id)
      if (track === undefined) return null
      remaining.delete(track.track_id)
      sequence.push(track.track_id)
      return track.next_id
    }
    for (let next = take(first_id); next !== null; ) next = take(next)
    for (const { track_id } of tracks) take(track_id)
    await sql`
      update playlist_tracks as t set position = s.position
      from unnest(${sequence}::bigint[]) with ordinality as s (track_id, position)
      where t.track_id = s.track_id and t.position <> s.position`.execute(transaction)
    await relinkTracks(transaction, playlistId, now, null)
  })
}
