import type { Kysely } from 'kysely'
import type {
  EXTERNAL_PROFILE_SITE,
  EXTERNAL_PROFILE_VISIBILITY,
} from '#src/api/resources/externalprofile.ts'
import type { Identity } from '#src/auth/identity.ts'
import type { Config } from '#src/config/config.ts'
import {
  countExternalProfiles,
  deleteExternalProfile,
  type ExternalProfileRow,
  insertExternalProfile,
  updateExternalProfile,
} from '#src/database/external-profiles.ts'
import type { Schema } from '#src/database/schema.ts'
import { maxRowsFor, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { anyOf, type ScopeOf, where } from '#src/query/scope.ts'
import { notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { profileSite, profileVisibility } from './stored-labels.ts'

const PUBLIC = where('visibility', '=', profileVisibility('Public'))

/** The scope of the public list of external profiles: public ones, and the caller's own unless it searches. */
export const listedProfilesScope = (
  identity: Identity | null,
  search: string | null,
): ScopeOf<'external_profiles'> =>
  identity === null || search !== null ? PUBLIC : anyOf(PUBLIC, where('user_id', '=', identity.user.id))

/** The input for an external profile. */
export interface ExternalProfileInput {
  name: string
  site: (typeof EXTERNAL_PROFILE_SITE)[number]
  visibility: (typeof EXTERNAL_PROFILE_VISIBILITY)[number]
}

/** Creates, changes and deletes external profiles. */
export interface ExternalProfiles {
  /** How many profiles a user can have. */
  readonly quota: Quota
  /**
   * Creates an external profile of the caller and returns its id.
   *
   * @throws {HttpError} 403 when the quota is exhausted, 401 when the user no longer exists
   */
  create(caller: Identity, input: ExternalProfileInput): Promise<number>
  /** Changes the visibility of an external profile, if given. */
  change(
    profile: ExternalProfileRow,
    change: Partial<Pick<ExternalProfileInput, 'visibility'>>,
  ): Promise<void>
  /**
   * Deletes an external profile with its entries.
   *
   * @throws {HttpError} 404 when it was deleted meanwhile
   */
  remove(profile: ExternalProfileRow): Promise<void>
}

/** Makes the use-cases of external profiles. */
export function createExternalProfiles({
  kysely,
  config,
  clock,
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'externalProfilesPerUser'>
  clock: () => EpochMillis
}): ExternalProfiles {
  const quota: Quota = {
    max: config.externalProfilesPerUser,
    count: ({ user }) => countExternalProfiles(kysely, user.id),
    message: MESSAGES.tooManyProfiles,
  }
  return {
    quota,
    async create(caller, { name, site, visibility }) {
      const id = await insertExternalProfile(
        kysely,
        {
          userId: caller.user.id,
          name,
          site: profileSite(site),
          visibility: profileVisibility(visibility),
          now: clock(),
        },
        maxRowsFor(quota, caller),
      )
      if (id === 'too many') throw quotaExceeded(quota)
      if (id === 'no such user') throw unauthenticated()
      return id
    },
    async change({ id }, { visibility }) {
      if (visibility === undefined) return
      await updateExternalProfile(kysely, id, profileVisibility(visibility), clock())
    },
    async remove({ id }) {
      if (!(await deleteExternalProfile(kysely, id))) throw notFound()
    },
  }
}
