import type { Kysely } from 'kysely'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'

/** Feature flags that can be turned off globally, with their names in AnimeThemes' table. */
const FEATURES = {
  playlists: 'App\\Features\\AllowPlaylistManagement',
  externalprofiles: 'App\\Features\\AllowExternalProfileManagement',
} as const

/** A feature: writes of playlists and tracks, or of external profiles. */
export type Feature = keyof typeof FEATURES

/** The names of all features. */
export const FEATURE_NAMES = Object.keys(FEATURES) as Feature[]

/** The global scope of Laravel Pennant. Its rows of single users are its cache, and not read. */
const GLOBAL_SCOPE = '__laravel_null'

/** Returns whether a feature is on globally. On without a row; off for an invalid value. */
export async function isFeatureOn(db: Kysely<Schema>, feature: Feature): Promise<boolean> {
  const row = await db
    .selectFrom('features')
    .select('value')
    .where('name', '=', FEATURES[feature])
    .where('scope', '=', GLOBAL_SCOPE)
    .executeTakeFirst()
  return row === undefined || row.value.trim() === 'true'
}

/** Turns a feature on or off globally. */
export async function setFeature(
  db: Kysely<Schema>,
  feature: Feature,
  isOn: boolean,
  now: EpochMillis,
): Promise<void> {
  const at = millisToTimestamp(now)
  const value = String(isOn)
  await db
    .insertInto('features')
    .values({ name: FEATURES[feature], scope: GLOBAL_SCOPE, value, created_at: at, updated_at: at })
    .onConflict(conflict => conflict.columns(['name', 'scope']).doUpdateSet({ value, updated_at: at }))
    .execute()
}
