import type { Kysely } from 'kysely'
import type { PLAYLIST_VISIBILITY } from '#src/api/resources/playlist.ts'
import { hashidEncoder, randomHashid } from '#src/auth/hashid.ts'
import type { Identity } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import {
  countPlaylists,
  deletePlaylist,
  type Hashid,
  insertPlaylist,
  type PlaylistRow,
  updatePlaylist,
} from '#src/database/playlists.ts'
import type { Schema } from '#src/database/schema.ts'
import { maxRowsFor, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { type ScopeOf, where } from '#src/query/scope.ts'
import { notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { playlistVisibility } from './stored-labels.ts'

const UNLISTED = playlistVisibility('Unlisted')

/** The scope of the public list of playlists. */
export const PUBLIC_PLAYLISTS: ScopeOf<'playlists'> = where('visibility', '=', playlistVisibility('Public'))

/** The input for a playlist. */
export interface PlaylistInput {
  name: string
  description?: string | null
  visibility: (typeof PLAYLIST_VISIBILITY)[number]
}

/** Changes to a playlist; omitted fields stay. */
export interface PlaylistChange extends Partial<PlaylistInput> {
  /** Whether to generate a new hashid, as its visibility after the change requires. */
  regenerate_id?: boolean | null
}

/** Creates, changes and deletes playlists. */
export interface Playlists {
  /** How many playlists a user can have. */
  readonly quota: Quota
  /**
   * Creates a playlist of the caller and returns its id.
   *
   * @throws {HttpError} 403 when the quota is exhausted, 401 when the user no longer exists
   */
  create(caller: Identity, input: PlaylistInput): Promise<number>
  /** Changes a playlist. */
  change(playlist: PlaylistRow, change: PlaylistChange): Promise<void>
  /**
   * Deletes a playlist with its tracks.
   *
   * @throws {HttpError} 404 when it was deleted meanwhile
   */
  remove(playlist: PlaylistRow): Promise<void>
}

/** Makes the use-cases of playlists. */
export function createPlaylists({
  kysely,
  config,
  clock,
  random,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hashidsSalt' | 'playlistsPerUser'>
  clock: () => EpochMillis
  /** Returns random bytes. */
  random: (size: number) => Buffer
}): Playlists {
  const hashids = hashidEncoder(config.hashidsSalt)
  /**
   * Unlisted playlists get random hashids: those derived from ids can be guessed, and the hashid is their only
   * protection.
   */
  const hashidOf = (userId: number, id: number, visibility: number): Hashid => {
    const fallback = randomHashid(random)
    return { fallback, preferred: visibility === UNLISTED ? fallback : hashids.playlist(userId, id) }
  }
  const quota: Quota = {
    max: config.playlistsPerUser,
    count: ({ user }) => countPlaylists(kysely, user.id),
    message: MESSAGES.tooManyPlaylists,
  }
  return {
    quota,
    async create(caller, { name, description = null, visibility: label }) {
      const userId = caller.user.id
      const visibility = playlistVisibility(label)
      const hashid = (id: number) => hashidOf(userId, id, visibility)
      const id = await insertPlaylist(
        kysely,
        { userId, name, description, visibility, hashid, now: clock() },
        maxRowsFor(quota, caller),
      )
      if (id === 'too many') throw quotaExceeded(quota)
      if (id === 'no such user') throw unauthenticated()
      return id
    },
    async change(playlist, { name, description, visibility: label, regenerate_id }) {
      const { id, userId } = playlist
      const visibility = label === undefined ? playlist.visibility : playlistVisibility(label)
      await updatePlaylist(
        kysely,
        id,
        {
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description }),
          ...(label !== undefined && { visibility }),
          ...(regenerate_id === true && { hashid: hashidOf(userId, id, visibility) }),
        },
        clock(),
      )
    },
    async remove({ id }) {
      if (!(await deletePlaylist(kysely, id))) throw notFound()
    },
  }
}
