import type { Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** An entry and one of its videos: the content of a track. */
export interface EntryVideo {
  entry_id: number
  video_id: number
}

/** The rows of the wiki that lists of the demo data refer to. */
export interface DemoWiki {
  /** What tracks can show. */
  pairs: readonly (EntryVideo & { type: ThemeType })[]
  animeIds: readonly number[]
  /** The large covers of the anime, in their order. */
  coverIds: readonly number[]
}

const [WINTER, SPRING, SUMMER, FALL] = [0, 1, 2, 3]
const [TV, MOVIE] = [0, 3]
export const OPENING = 0
export const ENDING = 1
/** The values of the `type` column of themes in the demo data. */
export type ThemeType = typeof OPENING | typeof ENDING
const [WEB, BD] = [0, 2]
const COVERS = [
  { facet: 0, folder: 'small-cover' },
  { facet: 1, folder: 'large-cover' },
]

const anime = (title: string, year: number, season: number, synopsis: string, format = TV) => ({
  ...{ title, year, season, synopsis, format },
  slug: slugOf(title),
})

const slugOf = (name: string) => name.toLowerCase().replace(/[^a-z0-9]+/g, '_')
const fileOf = (name: string) => name.replace(/[^A-Za-z0-9]+/g, '')

const ANIME = [
  anime('Lanterns over Kisaragi', 2019, FALL, 'A village lights a lantern for every ship that is late.'),
  anime('The Clockmaker of Shimokita', 2021, SPRING, 'An apprentice repairs clocks that run backwards.'),
  anime('Rooftop Radio', 2016, SUMMER, 'Four pupils broadcast from a school about to be torn down.'),
  anime('Second Violin', 2023, WINTER, 'She never wanted to lead the orchestra, and now she has to.'),
  anime('Salt and Cedar', 1998, SPRING, 'Two families have shared one harbour and one quarrel for years.'),
  anime('Platform Zero', 2025, WINTER, 'A train in no timetable stops for those who missed theirs.'),
  anime('A Letter to Andromeda', 2012, FALL, 'The answer to a message from 1977 arrives by post.', MOVIE),
  anime('Tiny Kingdom Surveyor', 2024, SUMMER, 'The smallest country in the world needs a map.'),
  anime('Goodnight, Neon', 1994, FALL, 'A night watchman befriends the sign he has to switch off.'),
  anime('Postcards from the Kuroshio', 2020, SPRING, 'A research ship and the cat that runs it.'),
  anime('Umbrella Exchange', 2018, SUMMER, 'To take an umbrella here, leave a story.'),
  anime('Gravel Garden Club', 2022, FALL, 'Five beginners rake sand, and each other the wrong way.'),
  anime('The Last Ferryman', 2007, WINTER, 'A bridge opens in spring, and he has one winter left.'),
  anime('Kites Without Wind', 2026, WINTER, 'A workshop builds kites for a town in the doldrums.'),
]

/** The themes that each anime has. */
const THEMES = [
  { slug: 'OP1', type: OPENING, sequence: 1 },
  { slug: 'ED1', type: ENDING, sequence: 1 },
  { slug: 'OP2', type: OPENING, sequence: 2 },
  { slug: 'ED2', type: ENDING, sequence: 2 },
] as const

const FIRST_WORDS = ['Paper', 'Silver', 'Northern', 'Borrowed', 'Electric', 'Sleepless', 'Little', 'Distant']
const SECOND_WORDS = ['Comet', 'Umbrella', 'Signal', 'Orchard', 'Parade', 'Harbour', 'Letter']
const ARTISTS = [
  { name: 'Mizuiro Parade', information: 'A brass band of eight that has never played indoors.' },
  { name: 'Kanade Ooi', information: 'Writes at night, and sings as if the whole street were asleep.' },
  { name: 'the half-past fives', information: 'Three guitars and a train timetable.' },
  { name: 'Rin & the Lighthouse', information: 'A singer and the loudest organ on the coast.' },
  { name: 'Sorano Yuu', information: 'Began with jingles for a weather forecast.' },
]

/** Every so many themes have what most themes do not: a group, notes, a character who sings, a better video. */
const RARE = 5

/** Adds anime with their themes, songs, artists, covers, videos and audio. */
export async function addWiki(db: Transaction<Schema>): Promise<DemoWiki> {
  const animeIds = (await db.insertInto('anime').values(ANIME).returning('anime_id').execute()).map(
    row => row.anime_id,
  )
  const images = await db
    .insertInto('images')
    .values(
      COVERS.flatMap(({ facet, folder }) =>
        ANIME.map(({ slug }) => ({ facet, path: `anime/${folder}/${slug}.webp` })),
      ),
    )
    .returning('image_id')
    .execute()
  await db
    .insertInto('imageables')
    .values(
      images.map(({ image_id }, index) => ({
        image_id,
        imageable_type: 'anime',
        imageable_id: animeIds[index % animeIds.length] as number,
      })),
    )
    .execute()
  const pairs = await addThemes(db, animeIds)
  return { pairs, animeIds, coverIds: images.slice(ANIME.length).map(({ image_id }) => image_id) }
}

/** All themes of all anime, with what their rows are made of. */
const ALL_THEMES = ANIME.flatMap(({ title, year }, anime) =>
  THEMES.map((theme, offset) => {
    const number = anime * THEMES.length + offset
    const first = FIRST_WORDS[number % FIRST_WORDS.length]
    const second = SECOND_WORDS[number % SECOND_WORDS.length]
    const isRare = number % RARE === 0
    return {
      ...theme,
      anime,
      number,
      year,
      isRare,
      song: `${first} ${second}`,
      file: `${fileOf(title)}-${theme.slug}`,
    }
  }),
)

/** Adds the themes with their songs, entries, videos and audio. Rows are returned in the order of their values. */
async function addThemes(db: Transaction<Schema>, animeIds: readonly number[]): Promise<DemoWiki['pairs']> {
  const artists = await db
    .insertInto('artists')
    .values(ARTISTS.map(artist => ({ ...artist, slug: slugOf(artist.name) })))
    .returning('artist_id')
    .execute()
  const group = await db
    .insertInto('groups')
    .values({ name: 'Anniversary Broadcast', slug: 'AB' })
    .returning('group_id')
    .executeTakeFirstOrThrow()
  const songs = await db
    .insertInto('songs')
    .values(ALL_THEMES.map(({ song }) => ({ title: song })))
    .returning('song_id')
    .execute()
  await db
    .insertInto('performances')
    .values(
      songs.map(({ song_id }, index) => ({
        song_id,
        artist_id: artists[index % artists.length]?.artist_id as number,
        as: ALL_THEMES[index]?.isRare ? 'The Stationmaster' : null,
      })),
    )
    .execute()
  const themes = await db
    .insertInto('anime_themes')
    .values(
      ALL_THEMES.map(({ slug, type, sequence, anime, isRare }, index) => ({
        ...{ slug, type, sequence },
        anime_id: animeIds[anime] as number,
        song_id: songs[index]?.song_id as number,
        group_id: isRare ? group.group_id : null,
      })),
    )
    .returning('theme_id')
    .execute()
  const entries = await db
    .insertInto('anime_theme_entries')
    .values(
      themes.map(({ theme_id }, index) => ({
        theme_id,
        episodes: ALL_THEMES[index]?.sequence === 1 ? '1-12' : '13-24',
        notes: ALL_THEMES[index]?.isRare ? 'With a different first verse' : null,
      })),
    )
    .returning('entry_id')
    .execute()
  const audios = await db
    .insertInto('audios')
    .values(
      ALL_THEMES.map(({ file, year, number }) => ({
        ...{ filename: file, basename: `${file}.ogg`, path: `${year}/${file}.ogg` },
        ...{ mimetype: 'audio/ogg', size: 2_000_000 + number * 123_457 },
      })),
    )
    .returning('audio_id')
    .execute()
  const files = ALL_THEMES.flatMap(({ file, year, number, isRare }, theme) =>
    [
      { filename: file, source: WEB, resolution: 720, nc: false },
      ...(isRare ? [{ filename: `${file}-NCBD1080`, source: BD, resolution: 1080, nc: true }] : []),
    ].map(video => ({
      theme,
      row: {
        ...video,
        ...{ basename: `${video.filename}.webm`, path: `${year}/${video.filename}.webm` },
        ...{ mimetype: 'video/webm', size: 20_000_000 + number * 1_234_567 },
        audio_id: audios[theme]?.audio_id as number,
      },
    })),
  )
  const videos = await db
    .insertInto('videos')
    .values(files.map(({ row }) => row))
    .returning('video_id')
    .execute()
  const pairs = videos.map(({ video_id }, index) => ({
    entry_id: entries[files[index]?.theme as number]?.entry_id as number,
    video_id,
  }))
  await db.insertInto('anime_theme_entry_video').values(pairs).execute()
  return pairs.map((pair, index) => ({
    ...pair,
    type: ALL_THEMES[files[index]?.theme as number]?.type ?? OPENING,
  }))
}
