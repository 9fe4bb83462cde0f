import { PANEL_NOTIFICATION } from '#src/input/notification.ts'
import { shape } from '#src/query/declare.ts'
import { NULLABLE_TIMESTAMPS } from './dates.ts'

/** A notification to a user. */
export const notificationShape = shape({
  type: 'notification',
  schemaName: 'Notification',
  plural: 'notifications',
  about: 'A notification to the user.',
  table: 'notifications',
  key: 'id',
  fields: {
    ...NULLABLE_TIMESTAMPS,
    id: {
      kind: 'string',
      shown: 'default',
      sort: false,
      castToText: true,
      about: 'The id, a UUID.',
      example: '5b0e6f3c-0f0e-4f7a-9d0b-0a8f4a4d7c11',
    },
    type: { kind: 'string', shown: 'never' },
    notifiable_type: { kind: 'string', shown: 'never' },
    notifiable_id: { kind: 'integer', shown: 'never' },
    data: {
      kind: 'json',
      shown: 'default',
      about: 'The content; its shape depends on the event.',
      // PHP encodes an empty one as a list.
      schema: { anyOf: [{ type: 'object' }, { type: 'array', items: {} }] },
      example: { profileId: 3, profileName: 'alice' },
    },
    read_at: {
      kind: 'date',
      shown: 'default',
      nullable: true,
      about: 'When it was marked as read.',
      example: null,
    },
  },
  except: { column: 'type', value: PANEL_NOTIFICATION },
})
