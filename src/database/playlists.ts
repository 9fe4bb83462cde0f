import { type Kysely, sql } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import { lockUser } from './authority.ts'
import type { Schema } from './schema.ts'

/** A playlist, as far as it matters who may do what with it. */
export interface PlaylistRow {
  id: number
  name: string
  userId: number
  /** What PLAYLIST_VISIBILITY calls it. */
  visibility: number
}

/** The playlist with a hashid, which is told apart from others by upper and lower case; null when there is none. */
export async function findPlaylist(db: Kysely<Schema>, hashid: string): Promise<PlaylistRow | null> {
  if (!isHashid(hashid)) return null
  const row = await db
    .selectFrom('playlists')
    .select(['playlist_id as id', 'name', 'user_id as userId', 'visibility'])
    .where('hashid', '=', hashid)
    .executeTakeFirst()
  return row ?? null
}

/** Whether a text can be a hashid at all. */
export const isHashid = (text: string): boolean => /^[A-Za-z0-9]{1,255}$/.test(text)

/** How many playlists a user has. */
export async function countPlaylists(db: Kysely<Schema>, userId: number): Promise<number> {
  const { count } = await db
    .selectFrom('playlists')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** What a playlist is to be found by. */
export interface Hashid {
  wanted: string
  /** A random one for the case that another playlist has it: those of different salts may meet. */
  spare: string
}

/** The wanted hashid unless another playlist than the one with an id has it. */
const freeHashid = ({ wanted, spare }: Hashid, id: number) => sql<string>`
  case when exists (select from playlists where hashid = ${wanted} and playlist_id <> ${id})
    then ${spare} else ${wanted} end`

/** A playlist to be stored. */
export interface NewPlaylist {
  userId: number
  name: string
  description: string | null
  visibility: number
  /** Makes its hashid of its id. */
  hashid: (id: number) => Hashid
  /** Milliseconds since the epoch. */
  now: number
}

/**
 * Stores a playlist and returns its id. Whoever adds one for the same user meanwhile waits: nobody gets more than
 * there may be.
 *
 * @param most how many the user may have; null for any number
 */
export async function insertPlaylist(
  db: Kysely<Schema>,
  { userId, hashid, now, ...values }: NewPlaylist,
  most: number | null,
): Promise<number | 'too many' | 'no such user'> {
  return db.transaction().execute(async transaction => {
    if (!(await lockUser(transaction, userId))) return 'no such user'
    if (most !== null && (await countPlaylists(transaction, userId)) >= most) return 'too many'
    const id = await nextId(transaction, 'playlists', 'playlist_id')
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

/** The id of a row to come, for what is made of the id and stored with the row. */
export async function nextId(db: Kysely<Schema>, table: keyof Schema, key: string): Promise<number> {
  const { rows } = await sql<{
    id: number
  }>`select nextval(pg_get_serial_sequence(${table}, ${key})) as id`.execute(db)
  return Number(rows[0]?.id)
}

/** What can be changed of a playlist; what is not given stays. */
export interface PlaylistChanges {
  name?: string
  description?: string | null
  visibility?: number
  hashid?: Hashid
}

/** Changes a playlist, and its date only if anything is different then; `now` in milliseconds since the epoch. */
export async function updatePlaylist(
  db: Kysely<Schema>,
  id: number,
  { hashid, ...rest }: PlaylistChanges,
  now: number,
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

/** Deletes a playlist with its tracks, and says whether it was there. */
export async function deletePlaylist(db: Kysely<Schema>, id: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('playlists')
    .where('playlist_id', '=', id)
    .executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}
