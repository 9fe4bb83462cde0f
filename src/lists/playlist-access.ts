import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { isOwner } from '#src/auth/permission.ts'
import { createRowLoader, type Loader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import { findPlaylist, type PlaylistRow } from '#src/database/playlists.ts'
import type { Schema } from '#src/database/schema.ts'
import { findTrack, type TrackRow } from '#src/database/tracks.ts'
import { playlistVisibility } from './stored-labels.ts'

const PRIVATE = playlistVisibility('Private')

interface PlaylistParams {
  playlist: string
}

/** A track and its playlist. */
export interface PlaylistTrack {
  playlist: PlaylistRow
  track: TrackRow
}

/** Loaders of the playlist, or the track, that a route's path names. */
export interface PlaylistLoaders {
  readablePlaylist: Loader<PlaylistRow>
  writablePlaylist: Loader<PlaylistRow>
  readableTrack: Loader<PlaylistTrack>
  writableTrack: Loader<PlaylistTrack>
}

/** Makes the loaders. With HIDE_PRIVATE, private rows of other users are 404. */
export function playlistLoaders({
  kysely,
  config: { hidePrivate },
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hidePrivate'>
}): PlaylistLoaders {
  const findReadable = async ({ playlist: hashid }: PlaylistParams, identity: Identity | null) => {
    const playlist = await findPlaylist(kysely, hashid)
    return playlist === null || isHidden(playlist, identity) ? null : playlist
  }
  const isHidden = ({ visibility, userId }: PlaylistRow, identity: Identity | null) =>
    hidePrivate && visibility === PRIVATE && !isOwner(identity, userId)
  const findReadableTrack = async (params: PlaylistParams & { track: string }, identity: Identity | null) => {
    const playlist = await findReadable(params, identity)
    const track = playlist && (await findTrack(kysely, playlist.id, params.track))
    return playlist && track && { playlist, track }
  }
  const hidesRows = hidePrivate
  return {
    readablePlaylist: createRowLoader({ hidesRows, find: findReadable, allows: canRead }),
    writablePlaylist: createRowLoader({ hidesRows, find: findReadable, allows: canWrite }),
    readableTrack: createRowLoader({
      hidesRows,
      find: findReadableTrack,
      allows: ({ playlist }, identity) => canRead(playlist, identity),
    }),
    writableTrack: createRowLoader({
      hidesRows,
      find: findReadableTrack,
      allows: ({ playlist }, identity) => canWrite(playlist, identity),
    }),
  }
}

const canRead = ({ visibility, userId }: PlaylistRow, identity: Identity | null): boolean =>
  visibility !== PRIVATE || isOwner(identity, userId)

const canWrite = ({ userId }: PlaylistRow, identity: Identity | null): boolean => isOwner(identity, userId)
