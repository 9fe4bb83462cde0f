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
import { allowanceOf, type Quota, quotaExceeded } from '#src/limits/quota.ts'
import { anyOf, type ScopeOf, where } from '#src/query/scope.ts'
import { notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { profileSite, profileVisibility } from './stored-labels.ts'

const PUBLIC = where('visibility', '=', profileVisibility('Public'))

/**
 * The external profiles that the list of everybody's shows: public ones, and the caller's own, which a search does not
 * find.
 */
export const listedProfiles = (
  identity: Identity | null,
  search: string | null,
): ScopeOf<'external_profiles'> =>
  identity === null || search !== null ? PUBLIC : anyOf(PUBLIC, where('user_id', '=', identity.user.id))

/** An external profile as somebody wants it. */
export interface ExternalProfileInput {
  name: string
  site: (typeof EXTERNAL_PROFILE_SITE)[number]
  visibility: (typeof EXTERNAL_PROFILE_VISIBILITY)[number]
}

/** Creates, changes and deletes external profiles. */
export interface ExternalProfiles {
  /** How many a user can have. */
  readonly quota: Quota
  /**
   * Creates an external profile of the caller's, and returns its id.
   *
   * @throws {HttpError} 403 when the caller has too many by now, 401 when there is no such user any more
   */
  create(caller: Identity, input: ExternalProfileInput): Promise<number>
  /** Shows an external profile to everybody, or hides it; without a visibility it stays as it is. */
  change(
    profile: ExternalProfileRow,
    change: Partial<Pick<ExternalProfileInput, 'visibility'>>,
  ): Promise<void>
  /**
   * Deletes an external profile with its entries.
   *
   * @throws {HttpError} 404 when somebody else has deleted it meanwhile
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
  /** Milliseconds since the epoch. */
  clock: () => number
}): ExternalProfiles {
  const quota: Quota = {
    most: config.externalProfilesPerUser,
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
        allowanceOf(quota, caller),
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
