import type { Kysely } from 'kysely'
import { hashidEncoder } from '#src/auth/hashid.ts'
import type { Identity } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import { keyedMutex } from '#src/database/keyed-mutex.ts'
import type { PlaylistRow } from '#src/database/playlists.ts'
import type { Schema } from '#src/database/schema.ts'
import type { Place } from '#src/database/track-order.ts'
import {
  countTracks,
  deleteTrack,
  insertTrack,
  type TrackContent,
  type TrackRow,
  updateTrack,
} from '#src/database/tracks.ts'
import { allowanceOf, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { notFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { PlacedTrack } from './playlist-access.ts'
import {
  contentFaults,
  type Faults,
  noSuchPlace,
  notLinked,
  readPlace,
  type TrackInput,
} from './track-input.ts'

/** How long a change of a playlist's tracks waits for those before it, in milliseconds: programs send many at once. */
const WAIT_MS = 15_000

/** What a track is to show and where it is to stand, once the schema has accepted it. */
interface TrackChange extends TrackInput {
  entry_id?: number
  video_id?: number
}

/** Adds, changes and deletes tracks of playlists: one change of a playlist at a time. */
export interface Tracks {
  /** How many a playlist can have. */
  readonly quota: Quota<PlaylistRow>
  /**
   * Finds out where a track is to stand, and what is wrong with what somebody wants of it beside what its schema says.
   *
   * @param track null for one that is not there yet
   */
  judge(
    input: TrackInput,
    playlist: PlaylistRow,
    track: TrackRow | null,
  ): Promise<{ place: Place | null; faults: Faults }>
  /**
   * Adds a track to a playlist, and returns its number.
   *
   * @param place what {@link judge} says; null for the end
   * @throws {HttpError} 403 when there are too many by now, 422 when the neighbour is gone, 404 when the playlist is
   */
  add(
    caller: Identity,
    playlist: PlaylistRow,
    input: TrackChange & Required<Pick<TrackChange, 'entry_id' | 'video_id'>>,
    place: Place | null,
  ): Promise<number>
  /**
   * Changes what a track shows, where it stands, or both.
   *
   * @param place what {@link judge} says; null to leave it where it is
   * @throws {HttpError} 422 when the neighbour is gone, or its entry and video belong together no longer; 404 when the
   *   track is gone
   */
  change(placed: PlacedTrack, change: TrackChange, place: Place | null): Promise<void>
  /**
   * Deletes a track, and closes the gap.
   *
   * @throws {HttpError} 404 when somebody else has deleted it meanwhile
   */
  remove(placed: PlacedTrack): Promise<void>
}

/** Makes the use-cases of tracks. */
export function createTracks({
  kysely,
  config,
  clock,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hashidsSalt' | 'tracksPerPlaylist'>
  /** Milliseconds since the epoch. */
  clock: () => number
}): Tracks {
  const { track: hashidOf } = hashidEncoder(config.hashidsSalt)
  const inTurn = keyedMutex({ waitMs: WAIT_MS })
  const quota: Quota<PlaylistRow> = {
    most: config.tracksPerPlaylist,
    count: (_caller, playlist) => countTracks(kysely, playlist.id),
    message: MESSAGES.tooManyTracks,
  }
  return {
    quota,
    async judge(input, playlist, track) {
      const { place, faults } = await readPlace(kysely, input, playlist.id, track)
      return { place, faults: { ...(await contentFaults(kysely, input, track)), ...faults } }
    },
    async add(caller, { id: playlistId }, input, place) {
      const id = await inTurn(playlistId, () =>
        insertTrack(kysely, playlistId, {
          content: { entryId: input.entry_id, videoId: input.video_id },
          place,
          hashid: id => hashidOf(playlistId, id),
          most: allowanceOf(quota, caller),
          now: clock(),
        }),
      )
      if (id === 'too many') throw quotaExceeded(quota)
      if (id === 'no such place') throw noSuchPlace(input)
      if (typeof id === 'string') throw notFound()
      return id
    },
    async change({ playlist, track }, input, place) {
      const { entry_id: entryId, video_id: videoId } = input
      const content: Partial<TrackContent> = {
        ...(entryId !== undefined && { entryId }),
        ...(videoId !== undefined && { videoId }),
      }
      if (place === null && Object.keys(content).length === 0) return
      const outcome = await inTurn(playlist.id, () =>
        updateTrack(kysely, playlist.id, track.id, { content, place, now: clock() }),
      )
      if (outcome === 'no such place') throw noSuchPlace(input)
      if (outcome === 'not linked') throw notLinked(input)
      if (outcome !== 'updated') throw notFound()
    },
    async remove({ playlist, track }) {
      const outcome = await inTurn(playlist.id, () => deleteTrack(kysely, playlist.id, track.id, clock()))
      if (outcome !== 'deleted') throw notFound()
    },
  }
}
