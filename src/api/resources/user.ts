import { shape } from '#src/query/declare.ts'
import type { Field } from '#src/query/resource.ts'
import { TIMESTAMPS } from './dates.ts'

/** A field that cannot be filtered or sorted: the only user is the caller. */
const mine = <const F extends Field>(field: F) => ({ ...field, filter: false, sort: false }) as const

/** A user's own fields. */
export const userShape = shape({
  type: 'user',
  schemaName: 'CurrentUser',
  plural: 'users',
  about: 'The authenticated user.',
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
      // AnimeThemes returns this column in the database's format, and clients parse that.
      isRawText: true,
      about: 'When the second factor was confirmed, in UTC, in the format of the database.',
      example: null,
    }),
  },
})
