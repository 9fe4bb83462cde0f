import { type Kysely, sql } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { isHashid, reserveId } from './playlists.ts'
import type { Schema } from './schema.ts'
import { lockPlaylist, relinkTracks, resolvePlacement, type TrackPlacement } from './track-order.ts'

/** The position and content of a track. */
export interface TrackRow {
  id: number
  /** One-based, without gaps. */
  position: number
  entryId: number | null
  videoId: number | null
}

/** Finds a track of a playlist by hashid; null when there is none. */
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

/** Counts the tracks of a playlist. */
export async function countTracks(db: Kysely<Schema>, playlistId: number): Promise<number> {
  const { count } = await db
    .selectFrom('playlist_tracks')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('playlist_id', '=', playlistId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Returns whether an entry and a video exist, and whether the video is one of the entry's. */
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

/** The content of a track. */
export interface TrackContent {
  entryId: number
  videoId: number
}

/** Why nothing was written: the playlist, the track or the neighbouring track was deleted meanwhile. */
type Gone = 'no such playlist' | 'no such track' | 'no such neighbour'

/**
 * Adds a track to a playlist, at its end or at a placement, and returns its id. Locks the playlist.
 *
 * @param adding.hashid derives the track's hashid from its id
 * @param adding.max how many tracks the playlist may have; null for no limit
 */
export async function insertTrack(
  db: Kysely<Schema>,
  playlistId: number,
  adding: {
    content: TrackContent
    placement: TrackPlacement | null
    hashid: (id: number) => string
    max: number | null
    now: EpochMillis
  },
): Promise<number | 'too many' | Gone> {
  const { content, placement, hashid, max, now } = adding
  return db.transaction().execute(async transaction => {
    if (!(await lockPlaylist(transaction, playlistId))) return 'no such playlist'
    if (max !== null && (await countTracks(transaction, playlistId)) >= max) return 'too many'
    const target = await resolvePlacement(transaction, playlistId, placement)
    if (target === null) return 'no such neighbour'
    const id = await reserveId(transaction, 'playlist_tracks', 'track_id')
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
    await relinkTracks(transaction, playlistId, now, { id, target })
    return id
  })
}

/**
 * Changes the content or the position of a track, or both. Entry and video must be linked, checked under the playlist's
 * lock against concurrent changes.
 */
export async function updateTrack(
  db: Kysely<Schema>,
  playlistId: number,
  id: number,
  {
    content,
    placement,
    now,
  }: { content: Partial<TrackContent>; placement: TrackPlacement | null; now: EpochMillis },
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
    const target = placement && (await resolvePlacement(transaction, playlistId, placement))
    if (placement !== null && target === null) return 'no such neighbour'

    const updated = { ...track, ...content }
    const isOther = updated.entryId !== track.entryId || updated.videoId !== track.videoId
    if (isOther && updated.entryId !== null && updated.videoId !== null) {
      if (!(await findEntryVideo(transaction, updated)).isLinked) return 'not linked'
    }
    if (isOther || target !== null) {
      await transaction
        .updateTable('playlist_tracks')
        .set({ entry_id: updated.entryId, video_id: updated.videoId, updated_at: millisToTimestamp(now) })
        .where('track_id', '=', id)
        .execute()
    }
    if (target !== null) await relinkTracks(transaction, playlistId, now, { id, target })
    return 'updated'
  })
}

/** Deletes a track and closes the gap. */
export async function deleteTrack(
  db: Kysely<Schema>,
  playlistId: number,
  id: number,
  now: EpochMillis,
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
    await relinkTracks(transaction, playlistId, now, null)
    return 'deleted'
  })
}
