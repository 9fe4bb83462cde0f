import type { Field, Resource } from '#src/query/resource.ts'
import { artist } from './artist.ts'
import { WIKI_DATES } from './dates.ts'

const performer = (about: string): Field => ({ kind: 'string', shown: 'default', nullable: true, about })

/** The song of a theme. */
export const song: Resource = {
  type: 'song',
  plural: 'songs',
  about: 'A song that themes use.',
  table: 'songs',
  key: 'song_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'song_id', about: 'The id.', example: 2871 },
    title: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The title.',
      example: 'staple stable',
    },
  },
  relations: {
    artists: {
      resource: () => artist,
      many: true,
      join: {
        by: 'pivot',
        table: 'performances',
        ours: 'song_id',
        theirs: 'artist_id',
        // Performances are deleted as softly as songs are.
        onlyNull: 'deleted_at',
        shows: {
          name: 'artistsong',
          about: 'How the artist performed the song.',
          fields: {
            id: { kind: 'integer', shown: 'default', column: 'performance_id', about: 'The id.' },
            alias: performer('The name under which the artist performed it.'),
            as: performer('The character as whom the artist performed it.'),
            member_alias: performer('The same of the member of a group.'),
            member_as: performer('The same of the member of a group.'),
            relevance: { kind: 'integer', shown: 'default', about: 'Which artist is named first.' },
          },
        },
      },
    },
  },
  onlyNull: 'deleted_at',
}
