import type { Kysely } from 'kysely'
import type { Identity } from '#src/auth/identity.ts'
import { owns } from '#src/auth/permission.ts'
import { type Loader, rowLoader } from '#src/auth/row-loader.ts'
import type { Config } from '#src/config/config.ts'
import {
  type ExternalProfileRow,
  findExternalProfile,
  hasExternalEntry,
} from '#src/database/external-profiles.ts'
import type { Schema } from '#src/database/schema.ts'
import { rowId } from '#src/input/row-id.ts'
import { profileVisibility } from './stored-labels.ts'

const PRIVATE = profileVisibility('Private')

interface InProfile {
  externalprofile: string
}

/** An entry's own id, with the profile that has it. */
export interface ProfileEntry {
  profile: ExternalProfileRow
  id: number
}

/** How routes load the external profile that their path names, or the entry of one. */
export interface ExternalProfileLoaders {
  profileToSee: Loader<ExternalProfileRow>
  profileToChange: Loader<ExternalProfileRow>
  entryToSee: Loader<ProfileEntry>
  /** Of entries that somebody would add. Allows nobody: entries are what the other site says. */
  profileToFill: Loader<ExternalProfileRow>
  /** Of entries that somebody would change. Allows nobody. */
  entryToChange: Loader<ProfileEntry>
}

/** Makes them. With HIDE_PRIVATE what is private to somebody else is as if it were not there. */
export function externalProfileLoaders({
  kysely,
  config: { hidePrivate },
}: {
  kysely: Kysely<Schema>
  config: Pick<Config, 'hidePrivate'>
}): ExternalProfileLoaders {
  const findProfileOf = async ({ externalprofile }: InProfile, identity: Identity | null) => {
    const profile = await findExternalProfile(kysely, rowId(externalprofile))
    return profile === null || isHidden(profile, identity) ? null : profile
  }
  const isHidden = ({ visibility, userId }: ExternalProfileRow, identity: Identity | null) =>
    hidePrivate && visibility === PRIVATE && !owns(identity, userId)
  const findEntryOf = async (params: InProfile & { externalentry: string }, identity: Identity | null) => {
    const profile = await findProfileOf(params, identity)
    const id = rowId(params.externalentry)
    return profile && (await hasExternalEntry(kysely, profile.id, id)) ? { profile, id } : null
  }
  const hidesRows = hidePrivate
  return {
    profileToSee: rowLoader({ hidesRows, find: findProfileOf, allows: maySee }),
    profileToChange: rowLoader({ hidesRows, find: findProfileOf, allows: mayChange }),
    entryToSee: rowLoader({
      hidesRows,
      find: findEntryOf,
      allows: ({ profile }, identity) => maySee(profile, identity),
    }),
    profileToFill: rowLoader({ hidesRows, find: findProfileOf, allows: () => false }),
    entryToChange: rowLoader({ hidesRows, find: findEntryOf, allows: () => false }),
  }
}

const maySee = ({ visibility, userId }: ExternalProfileRow, identity: Identity | null): boolean =>
  visibility !== PRIVATE || owns(identity, userId)

const mayChange = ({ userId }: ExternalProfileRow, identity: Identity | null): boolean =>
  owns(identity, userId)
