import { shape } from '#src/query/declare.ts'

/** A user's public fields. */
export const publicUserShape = shape({
  type: 'user',
  schemaName: 'User',
  plural: 'users',
  about: 'A user with its public fields.',
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
  onlyNull: 'deleted_at',
})
