import Hashids from 'hashids'
import { randomAlphanumerics } from './secret.ts'

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

/** 131 bits: nobody finds one by guessing. */
const RANDOM_LENGTH = 22

/**
 * A public id that does not follow from any numbers, for what only those may find who were told where it is.
 *
 * @param random returns that many random bytes
 */
export const randomHashid = (random: (size: number) => Buffer): string =>
  randomAlphanumerics(RANDOM_LENGTH, random)
