import { type Kysely, sql } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import { isHashid, nextId } from './playlists.ts'
import type { Schema } from './schema.ts'
import { lockPlaylist, type Place, relink, spotAt } from './track-order.ts'

/** A track, as far as it matters where it is and what it shows. */
export interface TrackRow {
  id: number
  /** From 1 on, without gaps. */
  position: number
  entryId: number | null
  videoId: number | null
}

/** The track of a playlist with a hashid; null when the playlist has none. */
export async function findTrack(
  db: Kysely<Schema>,
  playlistId: number,
  hashid: string,
): Promise<TrackRow | null> {
  if (!isHashid(hashid)) return null
  const row = await db
    .selectFrom('playlist_tracks')
    .select(['track_id as id', 'position', 'entry_id as entryId', 'video_id as videoId'])
    .where('playlist_id', '=', playlistId)
    .where('hashid', '=', hashid)
    .executeTakeFirst()
  return row ?? null
}

/** How many tracks a playlist has. */
export async function countTracks(db: Kysely<Schema>, playlistId: number): Promise<number> {
  const { count } = await db
    .selectFrom('playlist_tracks')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('playlist_id', '=', playlistId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Whether there are such an entry and such a video, and whether the video is one of the entry's. */
export async function findEntryVideo(
  db: Kysely<Schema>,
  { entryId, videoId }: { entryId: number | null; videoId: number | null },
): Promise<{ hasEntry: boolean; hasVideo: boolean; isLinked: boolean }> {
  const { rows } = await sql<{ hasEntry: boolean; hasVideo: boolean; isLinked: boolean }>`
    select
      exists (select from anime_theme_entries where entry_id = ${entryId}::bigint) as "hasEntry",
      exists (select from videos where video_id = ${videoId}::bigint) as "hasVideo",
      exists (
        select from anime_theme_entry_video
        where entry_id = ${entryId}::bigint and video_id = ${videoId}::bigint
      ) as "isLinked"`.execute(db)
  return rows[0] as { hasEntry: boolean; hasVideo: boolean; isLinked: boolean }
}

/** What a track shows. */
export interface TrackContent {
  entryId: number
  videoId: number
}

/** Why nothing was done: somebody deleted the playlist, or the track, or the one beside it, in the meantime. */
type Gone = 'no such playlist' | 'no such track' | 'no such place'

/**
 * Adds a track to a playlist, at its end or where it is to be, and returns its id.
 *
 * @param adding.hashid makes the track's hashid of its id
 * @param adding.most how many tracks the playlist may have; null for any number
 * @param adding.now milliseconds since the epoch
 */
export async function insertTrack(
  db: Kysely<Schema>,
  playlistId: number,
  adding: {
    content: TrackContent
    place: Place | null
    hashid: (id: number) => string
    most: number | null
    now: number
  },
): Promise<number | 'too many' | Gone> {
  const { content, place, hashid, most, now } = adding
  return db.transaction().execute(async transaction => {
    if (!(await lockPlaylist(transaction, playlistId))) return 'no such playlist'
    if (most !== null && (await countTracks(transaction, playlistId)) >= most) return 'too many'
    const spot = await spotAt(transaction, playlistId, place)
    if (spot === null) return 'no such place'
    const id = await nextId(transaction, 'playlist_tracks', 'track_id')
    const at = millisToTimestamp(now)
    await transaction
      .insertInto('playlist_tracks')
      .values({
        track_id: id,
        playlist_id: playlistId,
        hashid: hashid(id),
        entry_id: content.entryId,
        video_id: content.videoId,
        created_at: at,
        updated_at: at,
      })
      .execute()
    await relink(transaction, playlistId, now, { id, spot })
    return id
  })
}

/**
 * Changes what a track shows, where it stands, or both. What it shows then has to belong together, whatever somebody
 * else has changed of it meanwhile. `now` in milliseconds since the epoch.
 */
export async function updateTrack(
  db: Kysely<Schema>,
  playlistId: number,
  id: number,
  { content, place, now }: { content: Partial<TrackContent>; place: Place | null; now: number },
): Promise<'updated' | 'not linked' | Gone> {
  return db.transaction().execute(async transaction => {
    if (!(await lockPlaylist(transaction, playlistId))) return 'no such playlist'
    const track = await transaction
      .selectFrom('playlist_tracks')
      .select(['entry_id as entryId', 'video_id as videoId'])
      .where('playlist_id', '=', playlistId)
      .where('track_id', '=', id)
      .executeTakeFirst()
    if (track === undefined) return 'no such track'
    const spot = place && (await spotAt(transaction, playlistId, place))
    if (place !== null && spot === null) return 'no such place'

    const shown = { ...track, ...content }
    const isOther = shown.entryId !== track.entryId || shown.videoId !== track.videoId
    if (isOther && shown.entryId !== null && shown.videoId !== null) {
      if (!(await findEntryVideo(transaction, shown)).isLinked) return 'not linked'
    }
    if (isOther || spot !== null) {
      await transaction
        .updateTable('playlist_tracks')
        .set({ entry_id: shown.entryId, video_id: shown.videoId, updated_at: millisToTimestamp(now) })
        .where('track_id', '=', id)
        .execute()
    }
    if (spot !== null) await relink(transaction, playlistId, now, { id, spot })
    return 'updated'
  })
}

/** Deletes a track, and closes the gap. `now` in milliseconds since the epoch. */
export async function deleteTrack(
  db: Kysely<Schema>,
  playlistId: number,
  id: number,
  now: number,
): Promise<'deleted' | Gone> {
  return db.transaction().execute(async transaction => {
    if (!(await lockPlaylist(transaction, playlistId))) return 'no such playlist'
    const deleted = await transaction
      .deleteFrom('playlist_tracks')
      .where('playlist_id', '=', playlistId)
      .where('track_id', '=', id)
      .returning('track_id')
      .executeTakeFirst()
    if (deleted === undefined) return 'no such track'
    await relink(transaction, playlistId, now, null)
    return 'deleted'
  })
}
