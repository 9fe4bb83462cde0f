import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'
import { linkBelow } from './link.ts'

/** An audio file of a theme. */
export const audioShape = shape({
  type: 'audio',
  schemaName: 'Audio',
  plural: 'audios',
  isWiki: true,
  about: 'An audio file of a theme.',
  table: 'audios',
  key: 'audio_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'audio_id', example: 4512 },
    basename: {
      kind: 'string',
      shown: 'default',
      example: 'Bakemonogatari-OP1.ogg',
    },
    filename: {
      kind: 'string',
      shown: 'default',
      example: 'Bakemonogatari-OP1',
    },
    mimetype: {
      kind: 'string',
      shown: 'optional',
      example: 'audio/ogg',
    },
    path: {
      kind: 'string',
      shown: 'default',
      example: '2009/Summer/Bakemonogatari-OP1.ogg',
    },
    size: { kind: 'integer', shown: 'default', example: 3_609_183 },
    link: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      computed: {
        columns: ['basename'],
        value: ({ basename }, { wikiUrls }) => linkBelow(wikiUrls.audio, basename),
      },
      example: 'https://a.animethemes.moe/Bakemonogatari-OP1.ogg',
    },
  },
  onlyNull: 'deleted_at',
})
