import type { Resource } from '#src/query/resource.ts'
import { TIMESTAMPS } from './dates.ts'
import { playlist } from './playlist.ts'
import { animeThemeEntry } from './wiki/animethemeentry.ts'
import { video } from './wiki/video.ts'

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
    animethemeentry: {
      resource: () => animeThemeEntry,
      many: false,
      join: { by: 'our column', column: 'entry_id' },
    },
    playlist: { resource: () => playlist, many: false, join: { by: 'our column', column: 'playlist_id' } },
    next: { resource: () => track, many: false, join: { by: 'our column', column: 'next_id' } },
    previous: { resource: () => track, many: false, join: { by: 'our column', column: 'previous_id' } },
    video: { resource: () => video, many: false, join: { by: 'our column', column: 'video_id' } },
  },
}

const { created_at, updated_at, track_id, id, entry_id, video_id } = track.fields

/** A track as one of a sequence, in which it says nothing of its place. */
export const sequenceTrack: Resource = {
  ...track,
  fields: { created_at, updated_at, track_id, id, entry_id, video_id } as Resource['fields'],
}
