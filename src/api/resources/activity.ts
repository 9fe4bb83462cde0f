import { shape } from '#src/query/declare.ts'

/** Something that happened to the user's account. */
export const activityShape = shape({
  type: 'activity',
  plural: 'activities',
  about: "Something that happened to the user's account.",
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
      about: 'What else there is to know, such as the cause.',
      example: { cause: 'password' },
    },
    ip_address: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'From which address; null for the command line and for what those who run the place did.',
      example: '192.0.2.1',
    },
    user_agent: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'By which program.',
      example: 'Mozilla/5.0',
    },
  },
})
