import { shape } from '#src/query/declare.ts'
import { NULLABLE_TIMESTAMPS } from './dates.ts'

/** A permission. */
export const permissionShape = shape({
  type: 'permission',
  plural: 'permissions',
  about: 'Something that may be done.',
  table: 'permissions',
  key: 'id',
  fields: {
    ...NULLABLE_TIMESTAMPS,
    id: { kind: 'integer', shown: 'default', about: 'The id.', example: 50 },
    name: { kind: 'string', shown: 'default', about: 'What it allows.', example: 'create playlist' },
  },
})

/** A role: permissions under a name. */
export const roleShape = shape({
  type: 'role',
  plural: 'roles',
  about: 'Permissions under a name.',
  table: 'roles',
  key: 'id',
  fields: {
    ...NULLABLE_TIMESTAMPS,
    id: { kind: 'integer', shown: 'default', about: 'The id.', example: 8 },
    name: { kind: 'string', shown: 'default', about: 'The name.', example: 'Verified' },
    default: {
      kind: 'boolean',
      shown: 'default',
      about: 'Whether users receive it with the verification of their e-mail address.',
      example: true,
    },
    color: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The colour of the name.',
      example: null,
    },
    priority: {
      kind: 'integer',
      shown: 'default',
      about: 'Which of several roles comes first.',
      example: 0,
    },
  },
})
