import type { Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** An entry and one of its videos: the content of a track. */
export interface EntryVideo {
  entry_id: number
  video_id: number
}

const [WINTER, SPRING, SUMMER, FALL] = [0, 1, 2, 3]
const [TV, MOVIE] = [0, 3]
const [OPENING, ENDING] = [0, 1]
const [WEB, BD] = [0, 2]
const LARGE_COVER = 1

const ANIME = [
  { title: 'Lanterns over Kisaragi', year: 2019, season: FALL, format: TV },
  { title: 'The Clockmaker of Shimokita', year: 2021, season: SPRING, format: TV },
  { title: 'Rooftop Radio', year: 2016, season: SUMMER, format: TV },
  { title: 'Second Violin', year: 2023, season: WINTER, format: TV },
  { title: 'Salt and Cedar', year: 1998, season: SPRING, format: TV },
  { title: 'Platform Zero', year: 2025, season: WINTER, format: TV },
  { title: 'A Letter to Andromeda', year: 2012, season: FALL, format: MOVIE },
  { title: 'Tiny Kingdom Surveyor', year: 2024, season: SUMMER, format: TV },
  { title: 'Goodnight, Neon', year: 1994, season: FALL, format: TV },
  { title: 'Postcards from the Kuroshio', year: 2020, season: SPRING, format: TV },
]

/** The themes that each anime has. */
const THEMES = [
  { slug: 'OP1', type: OPENING, sequence: 1 },
  { slug: 'ED1', type: ENDING, sequence: 1 },
  { slug: 'OP2', type: OPENING, sequence: 2 },
  { slug: 'ED2', type: ENDING, sequence: 2 },
]

const FIRST_WORDS = ['Paper', 'Silver', 'Northern', 'Borrowed', 'Electric', 'Sleepless', 'Little', 'Distant']
const SECOND_WORDS = ['Comet', 'Umbrella', 'Signal', 'Orchard', 'Parade']
const ARTISTS = ['Mizuiro Parade', 'Kanade Ooi', 'the half-past fives', 'Rin & the Lighthouse', 'Sorano Yuu']

const slugOf = (name: string) => name.toLowerCase().replace(/[^a-z0-9]+/g, '_')
const fileOf = (name: string) => name.replace(/[^A-Za-z0-9]+/g, '')

/**
 * Adds anime with their themes, songs, covers and videos.
 *
 * @returns the entries and videos that tracks can show
 */
export async function addWiki(db: Transaction<Schema>): Promise<EntryVideo[]> {
  const artists = await db
    .insertInto('artists')
    .values(ARTISTS.map(name => ({ name, slug: slugOf(name) })))
    .returning('artist_id')
    .execute()
  const pairs: EntryVideo[] = []
  for (const [index, anime] of ANIME.entries()) {
    const slug = slugOf(anime.title)
    const { anime_id } = await db
      .insertInto('anime')
      .values({ ...anime, slug, synopsis: null })
      .returning('anime_id')
      .executeTakeFirstOrThrow()
    const { image_id } = await db
      .insertInto('images')
      .values({ facet: LARGE_COVER, path: `anime/large-cover/${slug}.webp` })
      .returning('image_id')
      .executeTakeFirstOrThrow()
    await db
      .insertInto('imageables')
      .values({ image_id, imageable_type: 'anime', imageable_id: anime_id })
      .execute()
    for (const [offset, theme] of THEMES.entries()) {
      const number = index * THEMES.length + offset
      const artist = artists[number % artists.length]?.artist_id as number
      pairs.push(...(await addTheme(db, { ...theme, anime_id }, { ...anime, number, artist })))
    }
  }
  return pairs
}

/** A theme with its song and its entry, one video of it, and of every fifth a better one too. */
async function addTheme(
  db: Transaction<Schema>,
  theme: { slug: string; type: number; sequence: number; anime_id: number },
  { title, year, number, artist }: { title: string; year: number; number: number; artist: number },
): Promise<EntryVideo[]> {
  const { song_id } = await db
    .insertInto('songs')
    .values({
      title: `${FIRST_WORDS[number % FIRST_WORDS.length]} ${SECOND_WORDS[number % SECOND_WORDS.length]}`,
    })
    .returning('song_id')
    .executeTakeFirstOrThrow()
  await db.insertInto('performances').values({ song_id, artist_id: artist }).execute()
  const { theme_id } = await db
    .insertInto('anime_themes')
    .values({ ...theme, song_id })
    .returning('theme_id')
    .executeTakeFirstOrThrow()
  const { entry_id } = await db
    .insertInto('anime_theme_entries')
    .values({ theme_id, episodes: theme.sequence === 1 ? '1-12' : '13-24' })
    .returning('entry_id')
    .executeTakeFirstOrThrow()
  const name = `${fileOf(title)}-${theme.slug}`
  const files = [
    { filename: name, source: WEB, resolution: 720 },
    ...(number % 5 === 0 ? [{ filename: `${name}-NCBD1080`, source: BD, resolution: 1080, nc: true }] : []),
  ]
  const videos = await db
    .insertInto('videos')
    .values(
      files.map(file => ({
        ...file,
        basename: `${file.filename}.webm`,
        path: `${year}/${file.filename}.webm`,
        mimetype: 'video/webm',
        size: 20_000_000 + number * 1_234_567,
      })),
    )
    .returning('video_id')
    .execute()
  const pairs = videos.map(({ video_id }) => ({ entry_id, video_id }))
  await db.insertInto('anime_theme_entry_video').values(pairs).execute()
  return pairs
}
