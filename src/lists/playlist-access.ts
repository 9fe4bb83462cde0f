import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { owns } from '#src/auth/permission.ts'
import { type Loader, rowLoader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import { findPlaylist, type PlaylistRow } from '#src/database/playlists.ts'
import type { Schema } from '#src/database/schema.ts'
import { findTrack, type TrackRow } from '#src/database/tracks.ts'
import { playlistVisibility } from './stored-labels.ts'

const PRIVATE = playlistVisibility('Private')

interface InPlaylist {
  playlist: string
}

/** A track with the playlist that it is in. */
export interface PlacedTrack {
  playlist: PlaylistRow
  track: TrackRow
}

/** How routes load the playlist that their path names, or the track of one. */
export interface PlaylistLoaders {
  playlistToSee: Loader<PlaylistRow>
  playlistToChange: Loader<PlaylistRow>
  trackToSee: Loader<PlacedTrack>
  trackToChange: Loader<PlacedTrack>
}

/** Makes them. With HIDE_PRIVATE what is private to somebody else is as if it were not there. */
export function playlistLoaders({
  kysely,
  config: { hidePrivate },
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hidePrivate'>
}): PlaylistLoaders {
  const findPlaylistOf = async ({ playlist: hashid }: InPlaylist, identity: Identity | null) => {
    const playlist = await findPlaylist(kysely, hashid)
    return playlist === null || isHidden(playlist, identity) ? null : playlist
  }
  const isHidden = ({ visibility, userId }: PlaylistRow, identity: Identity | null) =>
    hidePrivate && visibility === PRIVATE && !owns(identity, userId)
  const findTrackOf = async (params: InPlaylist & { track: string }, identity: Identity | null) => {
    const playlist = await findPlaylistOf(params, identity)
    const track = playlist && (await findTrack(kysely, playlist.id, params.track))
    return playlist && track && { playlist, track }
  }
  const hidesRows = hidePrivate
  return {
    playlistToSee: rowLoader({ hidesRows, find: findPlaylistOf, allows: maySee }),
    playlistToChange: rowLoader({ hidesRows, find: findPlaylistOf, allows: mayChange }),
    trackToSee: rowLoader({
      hidesRows,
      find: findTrackOf,
      allows: ({ playlist }, identity) => maySee(playlist, identity),
    }),
    trackToChange: rowLoader({
      hidesRows,
      find: findTrackOf,
      allows: ({ playlist }, identity) => mayChange(playlist, identity),
    }),
  }
}

const maySee = ({ visibility, userId }: PlaylistRow, identity: Identity | null): boolean =>
  visibility !== PRIVATE || owns(identity, userId)

const mayChange = ({ userId }: PlaylistRow, identity: Identity | null): boolean => owns(identity, userId)
