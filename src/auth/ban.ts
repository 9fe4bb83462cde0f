import type { EpochMillis } from '#src/runtime/units.ts'
/** The sanction that bans from everything, independent of permissions. */
export const EVERYTHING = 'Banned'

/** A ban from everything, as its user sees it. */
export interface Ban {
  reason: string | null
  /** Null for a permanent ban. */
  until: EpochMillis | null
}

/** An active sanction or prohibition of a user. */
export interface Restraint extends Ban {
  /** Whether its name bans from everything. */
  bansEverything: boolean
  /** The names of the prohibited permissions. */
  names: readonly string[]
}

const endOf = ({ until }: Ban) => until ?? Number.POSITIVE_INFINITY

/**
 * Returns the ban that determines when a user's ban from everything ends. For each permission, the last prohibition
 * to end counts; of all permissions, the first to become free does.
 *
 * @param restraints those of a user who is banned from everything
 * @param permissions the names of all permissions
 */
export function findDecidingBan(restraints: readonly Restraint[], permissions: readonly string[]): Ban {
  const longest = permissions.flatMap(name => {
    const [first, ...others] = restraints.filter(
      ({ bansEverything, names }) => bansEverything || names.includes(name),
    )
    return first === undefined
      ? []
      : [others.reduce((last, one) => (endOf(one) > endOf(last) ? one : last), first)]
  })
  const [first = UNKNOWN_BAN, ...others] = longest
  const { reason, until } = others.reduce<Ban>(
    (soonest, one) => (endOf(one) < endOf(soonest) ? one : soonest),
    first,
  )
  return { reason, until }
}

/** For a ban that was lifted since it was read. */
const UNKNOWN_BAN: Ban = { reason: null, until: null }
