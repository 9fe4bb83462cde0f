import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

export const ANIME_FORMAT = ['TV', 'TV Short', 'OVA', 'Movie', 'Special', 'ONA'] as const
export const ANIME_SEASON = ['Winter', 'Spring', 'Summer', 'Fall'] as const

/** A production with themes. */
export const animeShape = shape({
  type: 'anime',
  schemaName: 'Anime',
  plural: 'anime',
  isWiki: true,
  about: 'An anime.',
  table: 'anime',
  key: 'anime_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'anime_id', example: 170 },
    name: {
      kind: 'string',
      shown: 'default',
      column: 'title',
      example: 'Bakemonogatari',
    },
    media_format: {
      kind: 'enum',
      shown: 'default',
      column: 'format',
      nullable: true,
      labels: ANIME_FORMAT,
      example: 'TV',
    },
    season: {
      kind: 'enum',
      shown: 'default',
      nullable: true,
      labels: ANIME_SEASON,
      example: 'Summer',
    },
    slug: {
      kind: 'string',
      shown: 'default',
      example: 'bakemonogatari',
    },
    synopsis: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: 'A student meets a girl who weighs next to nothing.',
    },
    year: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      example: 2009,
    },
  },
  onlyNull: 'deleted_at',
})
