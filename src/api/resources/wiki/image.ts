import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'
import { linkBelow } from './link.ts'

export const IMAGE_FACET = ['Small Cover', 'Large Cover', 'Grill', 'Document', 'Avatar', 'Banner'] as const

/** An image of the wiki. */
export const imageShape = shape({
  type: 'image',
  schemaName: 'Image',
  plural: 'images',
  isWiki: true,
  about: 'A picture.',
  table: 'images',
  key: 'image_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'image_id', example: 812 },
    facet: {
      kind: 'enum',
      shown: 'default',
      nullable: true,
      labels: IMAGE_FACET,
      example: 'Large Cover',
    },
    path: {
      kind: 'string',
      shown: 'default',
      example: 'anime/large-cover/bakemonogatari.jpg',
    },
    file: { kind: 'string', shown: 'never', column: null },
    link: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      computed: {
        columns: ['path'],
        value: ({ path }, { wikiUrls }) => linkBelow(wikiUrls.image, path),
      },
      example: 'https://i.animethemes.moe/anime/large-cover/bakemonogatari.jpg',
    },
  },
  onlyNull: 'deleted_at',
})
