import type { Resource } from '../query/resource.ts'
import { NULLABLE_TIMESTAMPS } from './dates.ts'

/** A personal access token, without its secret. */
export const token: Resource = {
  type: 'token',
  plural: 'tokens',
  about: 'A personal access token, without its secret.',
  table: 'personal_access_tokens',
  key: 'id',
  fields: {
    created_at: { ...NULLABLE_TIMESTAMPS.created_at, shown: 'default' },
    updated_at: NULLABLE_TIMESTAMPS.updated_at,
    id: { kind: 'integer', shown: 'default', about: 'The id, which stands before the `|`.', example: 42 },
    name: { kind: 'string', shown: 'default', about: 'What it is for.', example: 'laptop' },
    abilities: {
      kind: 'json',
      shown: 'default',
      nullable: true,
      about: 'What it allows; `*` is everything.',
      example: ['read:playlist'],
    },
    allowed_ips: {
      kind: 'json',
      shown: 'default',
      nullable: true,
      about: 'From which addresses and ranges it may be used; null for everywhere.',
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
      about: 'From which address.',
      example: '192.0.2.1',
    },
    last_used_agent: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'By which program.',
      example: 'curl/8.5.0',
    },
    expires_at: {
      kind: 'date',
      shown: 'default',
      nullable: true,
      about: 'When it ends; null for none of its own, as the tokens have that sessions issue without a date.',
      example: null,
    },
  },
  relations: {},
}
