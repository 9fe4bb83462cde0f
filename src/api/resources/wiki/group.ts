import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'

/** Themes of an anime that belong together. */
export const groupShape = shape({
  type: 'group',
  schemaName: 'Group',
  plural: 'groups',
  isWiki: true,
  about: 'Themes that belong together, such as those of a dubbed version.',
  table: 'groups',
  key: 'group_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'group_id', example: 4 },
    name: { kind: 'string', shown: 'default', example: 'English Version' },
    slug: { kind: 'string', shown: 'default', example: 'EN' },
  },
  onlyNull: 'deleted_at',
})
