import { shape } from '#src/query/declare.ts'
import { TIMESTAMPS } from './dates.ts'

export const PLAYLIST_VISIBILITY = ['Public', 'Private', 'Unlisted'] as const

/** A playlist, whose id is its hashid. */
export const playlistShape = shape({
  type: 'playlist',
  schemaName: 'Playlist',
  plural: 'playlists',
  about: 'An ordered list of theme videos.',
  table: 'playlists',
  key: 'playlist_id',
  fields: {
    ...TIMESTAMPS,
    playlist_id: { kind: 'integer', shown: 'never' },
    id: {
      kind: 'string',
      shown: 'default',
      column: 'hashid',
      nullable: true,
      caseSensitive: true,
      about: 'The public id.',
      example: 'kRfO',
    },
    first_id: { kind: 'integer', shown: 'never' },
    last_id: { kind: 'integer', shown: 'never' },
    name: { kind: 'string', shown: 'default', about: 'The name.', example: 'Best OPs' },
    description: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'What it is about.',
      example: null,
    },
    user_id: { kind: 'integer', shown: 'never' },
    visibility: {
      kind: 'enum',
      shown: 'default',
      labels: PLAYLIST_VISIBILITY,
      about: 'Who can find it: all users, only its owner, or every user who knows the id.',
      example: 'Public',
    },
    tracks_exists: {
      kind: 'boolean',
      shown: 'optional',
      aggregate: { of: 'exists', relation: 'tracks' },
      about: "Whether it has tracks that match the request's filters on tracks.",
      example: true,
    },
    tracks_count: {
      kind: 'integer',
      shown: 'optional',
      aggregate: { of: 'count', relation: 'tracks' },
      about: "How many of its tracks match the request's filters on tracks.",
      example: 12,
    },
  },
})
