import { type Kysely, sql } from 'kysely'
import type { Schema } from './schema.ts'

/**
 * Corrects the numbers of tracks of theme entries, which triggers keep, after rows were copied without them.
 *
 * @returns how many entries had a wrong number
 */
export async function correctTrackCounts(db: Kysely<Schema>): Promise<number> {
  const { rows } = await sql<{ entry_id: number }>`
    select entry_id from anime_theme_entries e
    where tracks_count <> (select count(*) from playlist_tracks t where t.entry_id = e.entry_id)`.execute(db)
  const ids = rows.map(({ entry_id }) => entry_id)
  if (ids.length > 0) await sql`select count_entry_tracks(${ids}::bigint[])`.execute(db)
  return ids.length
}
