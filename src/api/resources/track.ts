import { shape } from '#src/query/declare.ts'
import { TIMESTAMPS } from './dates.ts'

/** A track of a playlist, whose id is its hashid. */
export const trackShape = shape({
  type: 'track',
  schemaName: 'Track',
  plural: 'tracks',
  about: 'A position in a playlist.',
  table: 'playlist_tracks',
  key: 'track_id',
  fields: {
    ...TIMESTAMPS,
    track_id: { kind: 'integer', shown: 'never' },
    id: {
      kind: 'string',
      shown: 'default',
      column: 'hashid',
      nullable: true,
      caseSensitive: true,
      about: 'The public id.',
      example: 'vDTL1',
    },
    next_id: { kind: 'integer', shown: 'never' },
    playlist_id: { kind: 'integer', shown: 'never' },
    previous_id: { kind: 'integer', shown: 'never' },
    next: { kind: 'json', shown: 'never', column: null },
    previous: { kind: 'json', shown: 'never', column: null },
    entry_id: { kind: 'integer', shown: 'never', filter: true },
    video_id: { kind: 'integer', shown: 'never', filter: true },
  },
})

const { created_at, updated_at, track_id, id, entry_id, video_id } = trackShape.fields

/** The fields of a track within a sequence, without its position. */
export const SEQUENCE_FIELDS = { created_at, updated_at, track_id, id, entry_id, video_id } as const
