import type { Field, Resource } from '#src/query/resource.ts'
import { activity } from './activity.ts'
import { TIMESTAMPS } from './dates.ts'
import { externalProfile } from './externalprofile.ts'
import { notification } from './notification.ts'
import { permission, role } from './permission.ts'
import { playlist } from './playlist.ts'
import { token } from './token.ts'

/** Nobody searches among one user, the caller. */
const mine = (field: Field): Field => ({ ...field, filter: false, sort: false })

/** A user as its owner sees it. */
export const user: Resource = {
  type: 'user',
  schemaName: 'me',
  plural: 'users',
  about: 'A user, as its owner sees it.',
  table: 'users',
  key: 'id',
  fields: {
    created_at: mine(TIMESTAMPS.created_at),
    updated_at: mine(TIMESTAMPS.updated_at),
    deleted_at: mine({
      kind: 'date',
      shown: 'optional',
      nullable: true,
      about: 'When it was deleted.',
      example: null,
    }),
    id: mine({ kind: 'integer', shown: 'default', about: 'The id.', example: 7 }),
    name: mine({ kind: 'string', shown: 'default', about: 'The user name.', example: 'alice' }),
    email: mine({
      kind: 'string',
      shown: 'default',
      about: 'The e-mail address.',
      example: 'alice@example.org',
    }),
    email_verified_at: mine({
      kind: 'date',
      shown: 'default',
      nullable: true,
      about: 'When the e-mail address was verified.',
      example: '2026-03-01T12:00:00.000000Z',
    }),
    two_factor_confirmed_at: mine({
      kind: 'date',
      shown: 'default',
      nullable: true,
      // The reference hands this one column on as the database writes it, and clients parse that.
      isRawText: true,
      about: 'When the second factor was confirmed, in UTC as the database writes it.',
      example: null,
    }),
  },
  relations: {
    activities: {
      resource: () => activity,
      many: true,
      join: { by: 'their column', column: 'user_id' },
    },
    externalprofiles: {
      resource: () => externalProfile,
      many: true,
      join: { by: 'their column', column: 'user_id' },
    },
    notifications: {
      resource: () => notification,
      many: true,
      join: { by: 'their morph', id: 'notifiable_id', type: 'notifiable_type' },
    },
    permissions: {
      resource: () => permission,
      many: true,
      join: {
        by: 'pivot',
        table: 'model_has_permissions',
        ours: 'model_id',
        theirs: 'permission_id',
        type: 'model_type',
      },
    },
    playlists: {
      resource: () => playlist,
      many: true,
      join: { by: 'their column', column: 'user_id' },
    },
    roles: {
      resource: () => role,
      many: true,
      join: {
        by: 'pivot',
        table: 'model_has_roles',
        ours: 'model_id',
        theirs: 'role_id',
        type: 'model_type',
      },
    },
    tokens: {
      resource: () => token,
      many: true,
      join: { by: 'their morph', id: 'tokenable_id', type: 'tokenable_type' },
    },
  },
}
