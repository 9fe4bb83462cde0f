import type { Resource } from '#src/query/resource.ts'

/** A user as everybody sees it. */
export const publicUser: Resource = {
  type: 'user',
  plural: 'users',
  about: 'A user, as everybody sees it.',
  table: 'users',
  key: 'id',
  fields: {
    id: { kind: 'integer', shown: 'never' },
    name: {
      kind: 'string',
      shown: 'default',
      about: 'The user name.',
      example: 'alice',
      filter: false,
      sort: false,
    },
  },
  relations: {},
  onlyNull: 'deleted_at',
}
