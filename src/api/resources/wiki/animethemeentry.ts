import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

/** A version of a theme. */
export const animeThemeEntryShape = shape({
  type: 'animethemeentry',
  schemaName: 'AnimeThemeEntry',
  plural: 'animethemeentries',
  isWiki: true,
  about: 'A version of a theme, as it was shown in some episodes.',
  table: 'anime_theme_entries',
  key: 'entry_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'entry_id', example: 3814 },
    episodes: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: '1-2, 12',
    },
    notes: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: null,
    },
    nsfw: {
      kind: 'boolean',
      shown: 'default',
      example: false,
    },
    spoiler: {
      kind: 'boolean',
      shown: 'default',
      example: false,
    },
    version: { kind: 'integer', shown: 'default', example: 1 },
    tracks_count: {
      kind: 'integer',
      shown: 'default',
      example: 12,
    },
    theme_id: { kind: 'integer', shown: 'never' },
  },
  onlyNull: 'deleted_at',
})
