import type { FastifyInstance, FastifyRequest } from 'fastify'
import { notFound } from '#src/answers/errors.ts'
import { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'
import { findPlaylist, type PlaylistRow } from '#src/database/playlists.ts'
import { findTrack, type TrackRow } from '#src/database/tracks.ts'

const PRIVATE = PLAYLIST_VISIBILITY.indexOf('Private')

/**
 * Finds the playlist that a path names, or the track of one, for those who may see it or change it. Each throws 403
 * for what is not for whoever asks, and 404 when there is none: with HIDE_PRIVATE also for what is private to somebody
 * else. So that nobody learns from the difference what there is, the permission is then asked before the row.
 */
export function playlistAccess({
  config: { hidePrivate },
  database: { kysely },
}: Pick<FastifyInstance, 'config' | 'database'>) {
  const findPlaylistOf = async (request: FastifyRequest): Promise<PlaylistRow> => {
    if (hidePrivate) request.authorize()
    const playlist = await findPlaylist(kysely, (request.params as { playlist: string }).playlist)
    if (playlist === null || isHidden(request, playlist)) throw notFound()
    return playlist
  }
  const isHidden = (request: FastifyRequest, { visibility, userId }: PlaylistRow) =>
    hidePrivate && visibility === PRIVATE && !request.owns(userId)
  const findTrackOf = async (
    request: FastifyRequest,
  ): Promise<{ playlist: PlaylistRow; track: TrackRow }> => {
    const playlist = await findPlaylistOf(request)
    const track = await findTrack(kysely, playlist.id, (request.params as { track: string }).track)
    if (track === null) throw notFound()
    return { playlist, track }
  }
  const letSee = (request: FastifyRequest, { visibility, userId }: PlaylistRow) => {
    request.authorize()
    if (visibility === PRIVATE) request.requireOwner(userId)
  }
  const letChange = (request: FastifyRequest, { userId }: PlaylistRow) => {
    request.authorize()
    request.requireOwner(userId)
  }
  return {
    async playlistToSee(request: FastifyRequest) {
      const playlist = await findPlaylistOf(request)
      letSee(request, playlist)
      return playlist
    },
    async playlistToChange(request: FastifyRequest) {
      const playlist = await findPlaylistOf(request)
      letChange(request, playlist)
      return playlist
    },
    async trackToSee(request: FastifyRequest) {
      const found = await findTrackOf(request)
      letSee(request, found.playlist)
      return found
    },
    async trackToChange(request: FastifyRequest) {
      const found = await findTrackOf(request)
      letChange(request, found.playlist)
      return found
    },
  }
}
