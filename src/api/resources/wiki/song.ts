import { pivotFields, shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

const performer = (about: string) => ({ kind: 'string', shown: 'default', nullable: true, about }) as const

/** The song of a theme. */
export const songShape = shape({
  type: 'song',
  schemaName: 'Song',
  plural: 'songs',
  isWiki: true,
  about: 'A song that themes use.',
  table: 'songs',
  key: 'song_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'song_id', example: 2871 },
    title: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: 'staple stable',
    },
  },
  onlyNull: 'deleted_at',
})

/** The pivot fields of an artist's performance of a song. */
export const artistSong = pivotFields({
  table: 'performances',
  name: 'artistsong',
  about: 'How the artist performed the song.',
  fields: {
    id: { kind: 'integer', shown: 'default', column: 'performance_id', about: 'The id.' },
    alias: performer('The name under which the artist performed it.'),
    as: performer('The character as whom the artist performed it.'),
    member_alias: performer('The same of the member of a group.'),
    member_as: performer('The same of the member of a group.'),
    relevance: { kind: 'integer', shown: 'default', about: 'The order in which artists are named.' },
  },
})
