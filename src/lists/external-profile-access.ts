import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { isOwner } from '#src/auth/permission.ts'
import { createRowLoader, type Loader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import {
  type ExternalProfileRow,
  findExternalProfile,
  hasExternalEntry,
} from '#src/database/external-profiles.ts'
import type { Schema } from '#src/database/schema.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { profileVisibility } from './stored-labels.ts'

const PRIVATE = profileVisibility('Private')

interface ProfileParams {
  externalprofile: string
}

/** An entry's id and its profile. */
export interface ProfileEntry {
  profile: ExternalProfileRow
  id: number
}

/** Loaders of the external profile, or the entry, that a route's path names. */
export interface ExternalProfileLoaders {
  readableProfile: Loader<ExternalProfileRow>
  writableProfile: Loader<ExternalProfileRow>
  readableEntry: Loader<ProfileEntry>
  /** For creating entries. Denies every caller, since entries come from the external site. */
  profileForNewEntry: Loader<ExternalProfileRow>
  /** For changing entries. Denies every caller. */
  writableEntry: Loader<ProfileEntry>
}

/** Makes the loaders. With HIDE_PRIVATE, private rows of other users are 404. */
export function externalProfileLoaders({
  kysely,
  config: { hidePrivate },
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hidePrivate'>
}): ExternalProfileLoaders {
  const findProfile = async ({ externalprofile }: ProfileParams, identity: Identity | null) => {
    const profile = await findExternalProfile(kysely, parseRowId(externalprofile))
    return profile === null || isHidden(profile, identity) ? null : profile
  }
  const isHidden = ({ visibility, userId }: ExternalProfileRow, identity: Identity | null) =>
    hidePrivate && visibility === PRIVATE && !isOwner(identity, userId)
  const findEntry = async (params: ProfileParams & { externalentry: string }, identity: Identity | null) => {
    const profile = await findProfile(params, identity)
    const id = parseRowId(params.externalentry)
    return profile && (await hasExternalEntry(kysely, profile.id, id)) ? { profile, id } : null
  }
  const hidesRows = hidePrivate
  return {
    readableProfile: createRowLoader({ hidesRows, find: findProfile, allows: canRead }),
    writableProfile: createRowLoader({ hidesRows, find: findProfile, allows: canWrite }),
    readableEntry: createRowLoader({
      hidesRows,
      find: findEntry,
      allows: ({ profile }, identity) => canRead(profile, identity),
    }),
    profileForNewEntry: createRowLoader({ hidesRows, find: findProfile, allows: () => false }),
    writableEntry: createRowLoader({ hidesRows, find: findEntry, allows: () => false }),
  }
}

const canRead = ({ visibility, userId }: ExternalProfileRow, identity: Identity | null): boolean =>
  visibility !== PRIVATE || isOwner(identity, userId)

const canWrite = ({ userId }: ExternalProfileRow, identity: Identity | null): boolean =>
  isOwner(identity, userId)
