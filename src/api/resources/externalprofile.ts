import { shape } from '#src/query/declare.ts'
import { TIMESTAMPS } from './dates.ts'

export const EXTERNAL_PROFILE_SITE = ['MyAnimeList', 'AniList', 'Kitsu'] as const
export const EXTERNAL_PROFILE_VISIBILITY = ['Public', 'Private'] as const

/** A user's profile on another site. */
export const externalProfileShape = shape({
  type: 'externalprofile',
  schemaName: 'ExternalProfile',
  plural: 'externalprofiles',
  about: "A user's profile on another site.",
  table: 'external_profiles',
  key: 'profile_id',
  fields: {
    ...TIMESTAMPS,
    id: { kind: 'integer', shown: 'default', column: 'profile_id', about: 'The id.', example: 3 },
    name: { kind: 'string', shown: 'default', about: 'The name on that site.', example: 'alice' },
    site: {
      kind: 'enum',
      shown: 'default',
      labels: EXTERNAL_PROFILE_SITE,
      about: 'The site.',
      example: 'AniList',
    },
    visibility: {
      kind: 'enum',
      shown: 'default',
      labels: EXTERNAL_PROFILE_VISIBILITY,
      about: 'Who can see it: all users or only its owner.',
      example: 'Private',
    },
    user_id: { kind: 'integer', shown: 'never' },
  },
})
