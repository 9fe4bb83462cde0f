import type { Kysely } from 'kysely'
import { hashidEncoder } from '#src/auth/hashid.ts'
import type { Identity } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import type { PlaylistRow } from '#src/database/playlists.ts'
import type { Schema } from '#src/database/schema.ts'
import type { TrackPlacement } from '#src/database/track-order.ts'
import {
  countTracks,
  deleteTrack,
  insertTrack,
  type TrackContent,
  type TrackRow,
  updateTrack,
} from '#src/database/tracks.ts'
import { maxRowsFor, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { notFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import type { PlaylistTrack } from './playlist-access.ts'
import {
  type FieldErrors,
  findContentErrors,
  neighbourNotFound,
  notLinked,
  resolvePlacement,
  type TrackInput,
} from './track-input.ts'

/** How long a change of a playlist's tracks waits for earlier ones: programs send many at once. */
const WAIT_MS: Millis = 15_000

/** The validated input for a track. */
interface TrackChange extends TrackInput {
  entry_id?: number
  video_id?: number
}

/** Adds, changes and deletes tracks of playlists, one change per playlist at a time. */
export interface Tracks {
  /** How many tracks a playlist can have. */
  readonly quota: Quota<PlaylistRow>
  /**
   * Resolves the placement of a track, and returns the errors of its input that the schema cannot find.
   *
   * @param track null for a new track
   */
  validate(
    input: TrackInput,
    playlist: PlaylistRow,
    track: TrackRow | null,
  ): Promise<{ placement: TrackPlacement | null; errors: FieldErrors }>
  /**
   * Adds a track to a playlist and returns its id.
   *
   * @param placement from {@link validate}; null for the end
   * @throws {HttpError} 403 when the quota is exhausted, 422 when the neighbour was deleted, 404 when the playlist was
   */
  add(
    caller: Identity,
    playlist: PlaylistRow,
    input: TrackChange & Required<Pick<TrackChange, 'entry_id' | 'video_id'>>,
    placement: TrackPlacement | null,
  ): Promise<number>
  /**
   * Changes the content or the position of a track, or both.
   *
   * @param placement from {@link validate}; null to keep the position
   * @throws {HttpError} 422 when the neighbour was deleted, or entry and video are not linked; 404 when the track was
   *   deleted
   */
  change(target: PlaylistTrack, change: TrackChange, placement: TrackPlacement | null): Promise<void>
  /**
   * Deletes a track and closes the gap.
   *
   * @throws {HttpError} 404 when it was deleted meanwhile
   */
  remove(target: PlaylistTrack): Promise<void>
}

/** Makes the use-cases of tracks. */
export function createTracks({
  kysely,
  config,
  clock,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hashidsSalt' | 'tracksPerPlaylist'>
  clock: () => EpochMillis
}): Tracks {
  const { track: hashidOf } = hashidEncoder(config.hashidsSalt)
  const withPlaylistMutex = keyedMutex({ waitMs: WAIT_MS })
  const quota: Quota<PlaylistRow> = {
    max: config.tracksPerPlaylist,
    count: (_caller, playlist) => countTracks(kysely, playlist.id),
    message: MESSAGES.tooManyTracks,
  }
  return {
    quota,
    async validate(input, playlist, track) {
      const { placement, errors } = await resolvePlacement(kysely, input, playlist.id, track)
      return { placement, errors: { ...(await findContentErrors(kysely, input, track)), ...errors } }
    },
    async add(caller, { id: playlistId }, input, placement) {
      const id = await withPlaylistMutex(playlistId, () =>
        insertTrack(kysely, playlistId, {
          content: { entryId: input.entry_id, videoId: input.video_id },
          placement,
          hashid: id => hashidOf(playlistId, id),
          max: maxRowsFor(quota, caller),
          now: clock(),
        }),
      )
      if (id === 'too many') throw quotaExceeded(quota)
      if (id === 'no such neighbour') throw neighbourNotFound(input)
      if (typeof id === 'string') throw notFound()
      return id
    },
    async change({ playlist, track }, input, placement) {
      const { entry_id: entryId, video_id: videoId } = input
      const content: Partial<TrackContent> = {
        ...(entryId !== undefined && { entryId }),
        ...(videoId !== undefined && { videoId }),
      }
      if (placement === null && Object.keys(content).length === 0) return
      const outcome = await withPlaylistMutex(playlist.id, () =>
        updateTrack(kysely, playlist.id, track.id, { content, placement, now: clock() }),
      )
      if (outcome === 'no such neighbour') throw neighbourNotFound(input)
      if (outcome === 'not linked') throw notLinked(input)
      if (outcome !== 'updated') throw notFound()
    },
    async remove({ playlist, track }) {
      const outcome = await withPlaylistMutex(playlist.id, () =>
        deleteTrack(kysely, playlist.id, track.id, clock()),
      )
      if (outcome !== 'deleted') throw notFound()
    },
  }
}
