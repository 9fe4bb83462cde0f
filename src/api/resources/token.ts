import { type TokenDateColumns, type TokenLifetimes, tokenDates, tokenEnd } from '#src/auth/identity.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import { shape } from '#src/query/declare.ts'
import { NULLABLE_TIMESTAMPS } from './dates.ts'

/** Returns when a token ends, in the database's format; null for never. */
function endsAt(columns: Readonly<Record<string, unknown>>, lifetimes: TokenLifetimes): string | null {
  const end = tokenEnd(tokenDates(columns as TokenDateColumns), lifetimes)
  // Infinite dates are not rendered.
  return end === null || !Number.isFinite(end) ? null : millisToTimestamp(end)
}

/** A personal access token, without its secret. */
export const tokenShape = shape({
  type: 'token',
  schemaName: 'Token',
  plural: 'tokens',
  about: 'A personal access token, without its secret.',
  table: 'personal_access_tokens',
  key: 'id',
  fields: {
    created_at: { ...NULLABLE_TIMESTAMPS.created_at, shown: 'default' },
    updated_at: NULLABLE_TIMESTAMPS.updated_at,
    id: { kind: 'integer', shown: 'default', about: 'The id, the part before the `|`.', example: 42 },
    name: { kind: 'string', shown: 'default', about: 'What it is for.', example: 'laptop' },
    abilities: {
      kind: 'json',
      shown: 'default',
      nullable: true,
      about: 'What it allows; `*` is everything.',
      schema: { type: 'array', items: { type: 'string' } },
      example: ['read:playlist'],
    },
    allowed_ips: {
      kind: 'json',
      shown: 'default',
      nullable: true,
      about: 'The addresses and ranges from which it may be used; null for all.',
      schema: { type: 'array', items: { type: 'string' } },
      example: null,
    },
    last_used_at: {
      kind: 'date',
      shown: 'default',
      nullable: true,
      about: 'When it was last used, some seconds late.',
      example: '2026-03-01T12:34:56.000000Z',
    },
    last_used_ip: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The client address of the last use.',
      example: '192.0.2.1',
    },
    last_used_agent: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The user agent of the last use.',
      example: 'curl/8.5.0',
    },
    expires_at: {
      kind: 'date',
      shown: 'default',
      nullable: true,
      about: 'Its own expiry date; null for none, as for tokens that sessions issue without a date.',
      example: null,
    },
    ends_at: {
      kind: 'date',
      shown: 'default',
      nullable: true,
      computed: {
        columns: ['expires_at', 'created_at', 'last_used_at'],
        value: (columns, { tokenLifetimes }) => endsAt(columns, tokenLifetimes),
      },
      about:
        'When it ends unless it is used before: by its own date, its age (SANCTUM_EXPIRATION) or inactivity (SANCTUM_IDLE_EXPIRATION), whichever comes first; null for never.',
      example: '2027-03-01T12:00:00.000000Z',
    },
    issued_by: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      about:
        'The id of the token that issued it, whose revocation ends it as well; null for one that was issued in a session.',
      example: null,
    },
  },
})
