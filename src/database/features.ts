import type { Kysely } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { Schema } from './schema.ts'

/** What can be turned off for everybody, by the names that AnimeThemes' rows have. */
const FEATURES = {
  playlists: 'App\\Features\\AllowPlaylistManagement',
  externalprofiles: 'App\\Features\\AllowExternalProfileManagement',
} as const

/** Changing playlists and their tracks, or external profiles. */
export type Feature = keyof typeof FEATURES

/** Their names. */
export const FEATURE_NAMES = Object.keys(FEATURES) as Feature[]

/** What Laravel Pennant calls everybody. Its rows for single users are what it remembers, and not asked for. */
const EVERYBODY = '__laravel_null'

/** Whether a feature is on for everybody, as it is unless it was turned off. A value that means nothing is off. */
export async function isFeatureOn(db: Kysely<Schema>, feature: Feature): Promise<boolean> {
  const row = await db
    .selectFrom('features')
    .select('value')
    .where('name', '=', FEATURES[feature])
    .where('scope', '=', EVERYBODY)
    .executeTakeFirst()
  return row === undefined || row.value.trim() === 'true'
}

/** Turns a feature on or off for everybody; `now` in milliseconds since the epoch. */
export async function setFeature(
  db: Kysely<Schema>,
  feature: Feature,
  isOn: boolean,
  now: number,
): Promise<void> {
  const at = millisToTimestamp(now)
  const value = String(isOn)
  await db
    .insertInto('features')
    .values({ name: FEATURES[feature], scope: EVERYBODY, value, created_at: at, updated_at: at })
    .onConflict(conflict => conflict.columns(['name', 'scope']).doUpdateSet({ value, updated_at: at }))
    .execute()
}
