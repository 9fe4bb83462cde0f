import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

/** A performer of songs. */
export const artistShape = shape({
  type: 'artist',
  schemaName: 'Artist',
  plural: 'artists',
  isWiki: true,
  about: 'A performer of songs, or a group.',
  table: 'artists',
  key: 'artist_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'artist_id', example: 53 },
    name: { kind: 'string', shown: 'default', example: 'Chiwa Saito' },
    slug: { kind: 'string', shown: 'default', example: 'chiwa_saito' },
    information: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: null,
    },
  },
  onlyNull: 'deleted_at',
})
