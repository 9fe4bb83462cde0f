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
import { allowanceOf, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { type ScopeOf, where } from '#src/query/scope.ts'
import { notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { playlistVisibility } from './stored-labels.ts'

const UNLISTED = playlistVisibility('Unlisted')

/** The playlists that the list of everybody's shows: public ones, whoever asks. */
export const LISTED_PLAYLISTS: ScopeOf<'playlists'> = where('visibility', '=', playlistVisibility('Public'))

/** A playlist as somebody wants it. */
export interface PlaylistInput {
  name: string
  description?: string | null
  visibility: (typeof PLAYLIST_VISIBILITY)[number]
}

/** What is to change of a playlist; what is not given stays. */
export interface PlaylistChange extends Partial<PlaylistInput> {
  /** Whether its public id is made anew, for its visibility as it is then. */
  regenerate_id?: boolean | null
}

/** Creates, changes and deletes playlists. */
export interface Playlists {
  /** How many a user can have. */
  readonly quota: Quota
  /**
   * Creates a playlist of the caller's, and returns its number.
   *
   * @throws {HttpError} 403 when the caller has too many by now, 401 when there is no such user any more
   */
  create(caller: Identity, input: PlaylistInput): Promise<number>
  /** Changes a playlist. */
  change(playlist: PlaylistRow, change: PlaylistChange): Promise<void>
  /**
   * Deletes a playlist with its tracks.
   *
   * @throws {HttpError} 404 when somebody else has deleted it meanwhile
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
  /** Milliseconds since the epoch. */
  clock: () => number
  /** That many random bytes. */
  random: (size: number) => Buffer
}): Playlists {
  const hashids = hashidEncoder(config.hashidsSalt)
  /** Ids that follow from numbers can be guessed, and the id is all that protects an unlisted playlist. */
  const hashidOf = (userId: number, id: number, visibility: number): Hashid => {
    const spare = randomHashid(random)
    return { spare, wanted: visibility === UNLISTED ? spare : hashids.playlist(userId, id) }
  }
  const quota: Quota = {
    most: config.playlistsPerUser,
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
        allowanceOf(quota, caller),
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
