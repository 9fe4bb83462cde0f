import { type Kysely, sql } from 'kysely'
import { databaseOver } from '#src/database/connect.ts'
import { migrate } from '#src/database/migrate.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import type { Schema } from '#src/database/schema.ts'

/** The amounts of rows. */
export const SIZES = {
  users: 10_000,
  playlists: 100_000,
  tracksEach: 4,
  anime: 2_000,
  themesEach: 3,
} as const

/** Users with a token, `<id>|secret<n>`. */
export const CALLERS = 64

/** The statements that fill the tables, in order. */
const FILLING = [
  `insert into users (name, email, password)
    select 'user' || n, 'user' || n || '@example.org', '!' from generate_series(1, ${SIZES.users}) as n`,
  `insert into model_has_roles (role_id, model_type, model_id)
    select r.id, 'App\\Models\\Auth\\User', u.id from users u, roles r where r.name = 'Verified'`,
  `insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at)
    select 'App\\Models\\Auth\\User', n, 'flood', encode(sha256(('secret' || n)::bytea), 'hex'), '["*"]', now()
    from generate_series(1, ${CALLERS}) as n`,
  `insert into anime (slug, title, year, season, format)
    select 'anime' || n, 'Anime ' || n, 1990 + n % 35, n % 4, n % 6 from generate_series(1, ${SIZES.anime}) as n`,
  `insert into songs (title) select 'Song ' || n from generate_series(1, ${SIZES.anime * SIZES.themesEach}) as n`,
  `insert into artists (slug, name) select 'artist' || n, 'Artist ' || n from generate_series(1, 1000) as n`,
  `insert into performances (song_id, artist_id) select song_id, 1 + song_id % 1000 from songs`,
  `insert into groups (name, slug) select 'Group ' || n, 'group' || n from generate_series(1, 20) as n`,
  `insert into anime_themes (type, slug, anime_id, song_id, group_id)
    select n % 2, 'OP' || n, 1 + n % ${SIZES.anime}, n, case when n % 5 = 0 then 1 + n % 20 end
    from generate_series(1, ${SIZES.anime * SIZES.themesEach}) as n`,
  `insert into anime_theme_entries (theme_id) select theme_id from anime_themes`,
  `insert into audios (basename, filename, path, size, mimetype)
    select 'a' || n, 'a' || n, 'a' || n, 1, 'audio/ogg' from generate_series(1, ${SIZES.anime * SIZES.themesEach}) as n`,
  `insert into videos (basename, filename, path, size, mimetype, audio_id)
    select 'v' || n, 'v' || n, 'v' || n, 1, 'video/webm', n from generate_series(1, ${SIZES.anime * SIZES.themesEach}) as n`,
  `insert into anime_theme_entry_video (entry_id, video_id) select entry_id, entry_id from anime_theme_entries`,
  `insert into images (path, facet) select 'i' || n, n % 2 from generate_series(1, ${SIZES.anime * 2}) as n`,
  `insert into imageables (image_id, imageable_type, imageable_id)
    select image_id, 'anime', 1 + image_id % ${SIZES.anime} from images`,
  `insert into playlists (hashid, name, visibility, description, user_id, created_at)
    select 'p' || n, 'Best openings, volume ' || n, case when n % 10 < 7 then 0 else n % 2 + 1 end,
      'What I listen to.', 1 + n % ${SIZES.users}, now() - n * interval '1 minute'
    from generate_series(1, ${SIZES.playlists}) as n`,
  `insert into playlist_tracks (hashid, playlist_id, entry_id, video_id, position)
    select 't' || p || '-' || n, p, v, v, n
    from generate_series(1, ${SIZES.playlists}) as p, generate_series(1, ${SIZES.tracksEach}) as n,
      lateral (select 1 + (p * 7 + n * 131) % ${SIZES.anime * SIZES.themesEach} as v) as shown`,
  `update playlist_tracks t set next_id = n.track_id from playlist_tracks n
    where n.playlist_id = t.playlist_id and n.position = t.position + 1`,
  `update playlist_tracks t set previous_id = p.track_id from playlist_tracks p
    where p.playlist_id = t.playlist_id and p.position = t.position - 1`,
  `update playlists p set first_id = f.track_id, last_id = l.track_id from playlist_tracks f, playlist_tracks l
    where f.playlist_id = p.playlist_id and f.position = 1
      and l.playlist_id = p.playlist_id and l.position = ${SIZES.tracksEach}`,
  `insert into external_profiles (name, site, visibility, user_id)
    select 'profile' || n, n % 3, 0, n from generate_series(1, ${SIZES.users}) as n`,
  `insert into external_entries (status, anime_id, profile_id)
    select n % 3, 1 + (p * 17 + n) % ${SIZES.anime}, p from generate_series(1, ${SIZES.users}) as p, generate_series(1, 20) as n`,
  'vacuum analyze',
]

/** Fills a database with lists, unless it is already filled. */
export async function fillLists(url: string): Promise<void> {
  const database = databaseOver({ ...postgresConnections(url, () => {}), open: async () => {} })
  const db: Kysely<Schema> = database.migrations
  try {
    await migrate(db)
    await seedPermissions(db, Date.now())
    const { rows } = await sql`select from playlists limit 1`.execute(db)
    if (rows.length > 0) return
    for (const text of FILLING) await sql.raw(text).execute(db)
  } finally {
    await database.close()
  }
}
