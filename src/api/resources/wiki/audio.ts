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
    id: { kind: 'integer', shown: 'default', column: 'audio_id', about: 'The id.', example: 4512 },
    basename: {
      kind: 'string',
      shown: 'default',
      about: "The file's name.",
      example: 'Bakemonogatari-OP1.ogg',
    },
    filename: {
      kind: 'string',
      shown: 'default',
      about: "The file's name without its extension.",
      example: 'Bakemonogatari-OP1',
    },
    mimetype: {
      kind: 'string',
      shown: 'default',
      about: "The file's media type.",
      example: 'audio/ogg',
    },
    path: {
      kind: 'string',
      shown: 'default',
      about: 'The path of the file in the storage.',
      example: '2009/Summer/Bakemonogatari-OP1.ogg',
    },
    size: { kind: 'integer', shown: 'default', about: "The file's size in bytes.", example: 3_609_183 },
    link: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      computed: {
        columns: ['basename'],
        value: ({ basename }, { wikiUrls }) => linkBelow(wikiUrls.audio, basename),
      },
      about: 'The URL of the file; null if the server has no base URL configured.',
      example: 'https://a.animethemes.moe/Bakemonogatari-OP1.ogg',
    },
  },
  onlyNull: 'deleted_at',
})
