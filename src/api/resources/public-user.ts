import { shape } from '#src/query/declare.ts'

/** A user's public fields. Whatever is added here can be filtered: it must not be private. */
export const publicUserShape = shape({
  type: 'user',
  schemaName: 'User',
  plural: 'users',
  about: 'A user with its public fields.',
  table: 'users',
  key: 'id',
  fields: {
    id: { kind: 'integer', shown: 'never' },
    name: { kind: 'string', shown: 'default', about: 'The user name.', example: 'alice' },
  },
  onlyNull: 'deleted_at',
})
