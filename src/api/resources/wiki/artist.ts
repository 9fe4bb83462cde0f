import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

/** Who performs songs. */
export const artistShape = shape({
  type: 'artist',
  plural: 'artists',
  about: 'Somebody who performs songs, or several together.',
  table: 'artists',
  key: 'artist_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'artist_id', about: 'The id.', example: 53 },
    name: { kind: 'string', shown: 'default', about: 'The name.', example: 'Chiwa Saito' },
    slug: { kind: 'string', shown: 'default', about: 'Its name in addresses.', example: 'chiwa_saito' },
    information: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'What there is to know.',
      example: null,
    },
  },
  onlyNull: 'deleted_at',
})
