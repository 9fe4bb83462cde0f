import { shape } from '#src/query/declare.ts'
import { NULLABLE_TIMESTAMPS } from './dates.ts'

/** A permission. */
export const permissionShape = shape({
  type: 'permission',
  schemaName: 'Permission',
  plural: 'permissions',
  about: 'A permission.',
  table: 'permissions',
  key: 'id',
  fields: {
    ...NULLABLE_TIMESTAMPS,
    id: { kind: 'integer', shown: 'default', about: 'The id.', example: 50 },
    name: { kind: 'string', shown: 'default', about: 'The name.', example: 'create playlist' },
  },
})

/** A role: a named set of permissions. */
export const roleShape = shape({
  type: 'role',
  schemaName: 'Role',
  plural: 'roles',
  about: 'A named set of permissions.',
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
      about: 'Roles with a higher priority come first.',
      example: 0,
    },
  },
})
