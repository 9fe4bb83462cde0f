import Hashids from 'hashids'
import type { Bytes } from '#src/runtime/units.ts'
import { randomAlphanumerics } from './secret.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890'

/**
 * Encodes the public ids of playlists and tracks as AnimeThemes does.
 *
 * @param salt Laravel's HASHIDS_SALT_PLAYLISTS, so that both encode the same ids
 */
export function hashidEncoder(salt: string) {
  const hashids = new Hashids(salt, 0, ALPHABET)
  return {
    playlist: (userId: number, playlistId: number) => hashids.encode([userId, playlistId]),
    track: (playlistId: number, trackId: number) => hashids.encode([playlistId, trackId]),
  }
}

/** 131 bits: not guessable. */
const RANDOM_LENGTH = 22

/** A random public id, for rows that can only be found by users who were given the link. */
export const randomHashid = (random: (size: Bytes) => Buffer): string =>
  randomAlphanumerics(RANDOM_LENGTH, random)
