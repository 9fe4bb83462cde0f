import type { Resource } from '../query/resource.ts'
import { TIMESTAMPS } from './dates.ts'

/** A track of a playlist, whose id is its hashid. */
export const track: Resource = {
  type: 'track',
  plural: 'tracks',
  about: 'A place in a playlist.',
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
    next: { kind: 'json', shown: 'never' },
    previous: { kind: 'json', shown: 'never' },
    entry_id: { kind: 'integer', shown: 'never', filter: true },
    video_id: { kind: 'integer', shown: 'never', filter: true },
  },
  relations: {
    next: { resource: () => track, many: false, join: { by: 'our column', column: 'next_id' } },
    previous: { resource: () => track, many: false, join: { by: 'our column', column: 'previous_id' } },
  },
}
