import Hashids from 'hashids'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890'

/**
 * The public ids of playlists and tracks, as AnimeThemes makes them.
 *
 * @param salt Laravel's HASHIDS_SALT_PLAYLISTS, for the same numbers to give the same ids
 */
export function hashidEncoder(salt: string) {
  const hashids = new Hashids(salt, 0, ALPHABET)
  return {
    playlist: (userId: number, playlistId: number) => hashids.encode([userId, playlistId]),
    track: (playlistId: number, trackId: number) => hashids.encode([playlistId, trackId]),
  }
}
