import { type Kysely, sql } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'

/** The columns of a playlist that its access rules need. */
export interface PlaylistRow {
  id: number
  name: string
  userId: number
  /** A value of PLAYLIST_VISIBILITY. */
  visibility: number
}

/** Finds a playlist by hashid, case-sensitively; returns null when there is none. */
export async function findPlaylist(db: Kysely<Schema>, hashid: string): Promise<PlaylistRow | null> {
  if (!isHashid(hashid)) return null
  const row = await db
    .selectFrom('playlists')
    .select(['playlist_id as id', 'name', 'user_id as userId', 'visibility'])
    .where('hashid', '=', hashid)
    .executeTakeFirst()
  return row ?? null
}

/** Returns whether a text has the form of a hashid. */
export const isHashid = (text: string): boolean => /^[A-Za-z0-9]{1,255}$/.test(text)

/** Counts a user's playlists. */
export async function countPlaylists(db: Kysely<Schema>, userId: number): Promise<number> {
  const { count } = await db
    .selectFrom('playlists')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The hashid to give to a playlist. */
export interface Hashid {
  preferred: string
  /** A random hashid in case another playlist has the preferred one: hashids of different salts may collide. */
  fallback: string
}

/** The preferred hashid unless another playlist has it. */
const freeHashid = ({ preferred, fallback }: Hashid, id: number) => sql<string>`
  case when exists (select from playlists where hashid = ${preferred} and playlist_id <> ${id})
    then ${fallback} else ${preferred} end`

/** A playlist to insert. */
export interface NewPlaylist {
  userId: number
  name: string
  description: string | null
  visibility: number
  /** Derives the hashid from the id. */
  hashid: (id: number) => Hashid
  now: EpochMillis
}

/**
 * Stores a playlist and returns its id. Locks the user's row until commit, so that concurrent inserts serialize and the
 * limit is exact.
 *
 * @param max how many playlists the user may have; null for no limit
 */
export async function insertPlaylist(
  db: Kysely<Schema>,
  { userId, hashid, now, ...values }: NewPlaylist,
  max: number | null,
): Promise<number | 'too many' | 'no such user'> {
  return db.transaction().execute(async transaction => {
    if (!(await lockUser(transaction, userId))) return 'no such user'
    if (max !== null && (await countPlaylists(transaction, userId)) >= max) return 'too many'
    const id = await reserveId(transaction, 'playlists', 'playlist_id')
    const at = millisToTimestamp(now)
    await transaction
      .insertInto('playlists')
      .values({
        ...values,
        playlist_id: id,
        user_id: userId,
        hashid: freeHashid(hashid(id), id),
        created_at: at,
        updated_at: at,
      })
      .execute()
    return id
  })
}

/** Reserves the id of a row, for values that are derived from the id. */
export async function reserveId(db: Kysely<Schema>, table: keyof Schema, key: string): Promise<number> {
  const { rows } = await sql<{
    id: number
  }>`select nextval(pg_get_serial_sequence(${table}, ${key})) as id`.execute(db)
  return Number(rows[0]?.id)
}

/** Changes to a playlist; omitted fields stay. */
export interface PlaylistChanges {
  name?: string
  description?: string | null
  visibility?: number
  hashid?: Hashid
}

/** Updates a playlist; `updated_at` only if a value differs. */
export async function updatePlaylist(
  db: Kysely<Schema>,
  id: number,
  { hashid, ...rest }: PlaylistChanges,
  now: EpochMillis,
): Promise<void> {
  const changes = { ...rest, ...(hashid && { hashid: freeHashid(hashid, id) }) }
  const columns = Object.keys(changes) as (keyof typeof changes)[]
  if (columns.length === 0) return
  await db
    .updateTable('playlists')
    .set({ ...changes, updated_at: millisToTimestamp(now) })
    .where('playlist_id', '=', id)
    .where(eb => eb.or(columns.map(name => eb(name, 'is distinct from', changes[name] as never))))
    .execute()
}

/** Deletes a playlist with its tracks. Returns whether it existed. */
export async function deletePlaylist(db: Kysely<Schema>, id: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('playlists')
    .where('playlist_id', '=', id)
    .executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}
