import { shape } from '#src/query/declare.ts'

/** An event of the user's account. */
export const activityShape = shape({
  type: 'activity',
  schemaName: 'Activity',
  plural: 'activities',
  about: "An event of the user's account.",
  table: 'account_events',
  key: 'id',
  fields: {
    created_at: {
      kind: 'date',
      shown: 'default',
      about: 'When it happened.',
      example: '2026-03-01T12:34:56.123000Z',
    },
    id: { kind: 'integer', shown: 'default', about: 'The id.', example: 1234 },
    event: { kind: 'string', shown: 'default', about: 'What happened.', example: 'login' },
    details: {
      kind: 'json',
      shown: 'default',
      about: 'Details, such as the cause.',
      schema: { type: 'object' },
      example: { cause: 'password' },
    },
    ip_address: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The client address; null for the command line and for actions of staff.',
      example: '192.0.2.1',
    },
    user_agent: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: "The client's user agent.",
      example: 'Mozilla/5.0',
    },
  },
})
