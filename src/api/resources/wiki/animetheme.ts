import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

export const THEME_TYPE = ['OP', 'ED', 'IN'] as const

/** An opening or an ending of an anime. */
export const animeThemeShape = shape({
  type: 'animetheme',
  schemaName: 'AnimeTheme',
  plural: 'animethemes',
  isWiki: true,
  about: 'An opening or an ending of an anime.',
  table: 'anime_themes',
  key: 'theme_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'theme_id', example: 3102 },
    sequence: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      example: 1,
    },
    slug: { kind: 'string', shown: 'default', example: 'OP1' },
    type: {
      kind: 'enum',
      shown: 'default',
      labels: THEME_TYPE,
      example: 'OP',
    },
    anime_id: { kind: 'integer', shown: 'never' },
    group_id: { kind: 'integer', shown: 'never' },
    song_id: { kind: 'integer', shown: 'never' },
  },
  except: { column: 'type', value: String(THEME_TYPE.indexOf('IN')) },
  onlyNull: 'deleted_at',
})
