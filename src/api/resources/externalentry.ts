import { shape } from '#src/query/declare.ts'
import { TIMESTAMPS } from './dates.ts'

export const EXTERNAL_ENTRY_STATUS = [
  'Watching',
  'Completed',
  'Paused',
  'Dropped',
  'Plan to Watch',
  'Rewatching',
] as const

/** An anime in a user's profile on another site. */
export const externalEntryShape = shape({
  type: 'externalentry',
  schemaName: 'ExternalEntry',
  plural: 'externalentries',
  about: "An anime in a user's profile on another site.",
  table: 'external_entries',
  key: 'entry_id',
  fields: {
    ...TIMESTAMPS,
    id: { kind: 'integer', shown: 'default', column: 'entry_id', about: 'The id.', example: 12 },
    score: { kind: 'float', shown: 'default', nullable: true, about: 'The score given.', example: 8.5 },
    is_favorite: {
      kind: 'boolean',
      shown: 'default',
      about: 'Whether it is among the favourites.',
      example: false,
    },
    status: {
      kind: 'enum',
      shown: 'default',
      labels: EXTERNAL_ENTRY_STATUS,
      about: 'The watch status.',
      example: 'Completed',
    },
    anime_id: { kind: 'integer', shown: 'never' },
    profile_id: { kind: 'integer', shown: 'never' },
  },
})
