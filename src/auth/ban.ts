/** The sanction that bans from everything, whatever permissions there are. */
export const EVERYTHING = 'Banned'

/** What a user is told of a ban from everything. */
export interface Ban {
  reason: string | null
  /** Milliseconds since the epoch; null without an end. */
  until: number | null
}

/** A sanction or prohibition under which a user is at the moment. */
export interface Restraint extends Ban {
  /** Whether it bans from everything by its name. */
  isWhole: boolean
  /** The names of the permissions that it bans from. */
  names: readonly string[]
}

const endOf = ({ until }: Ban) => until ?? Number.POSITIVE_INFINITY

/**
 * The ban that decides until when a user is banned from everything: of those that ban from a permission the last one
 * to end counts, and of all permissions the first one to be free.
 *
 * @param restraints those of a user who is banned from everything
 * @param permissions the names of all permissions
 */
export function decidingBan(restraints: readonly Restraint[], permissions: readonly string[]): Ban {
  const longest = permissions.flatMap(name => {
    const [first, ...others] = restraints.filter(({ isWhole, names }) => isWhole || names.includes(name))
    return first === undefined
      ? []
      : [others.reduce((last, one) => (endOf(one) > endOf(last) ? one : last), first)]
  })
  const [first = UNKNOWN, ...others] = longest
  const { reason, until } = others.reduce<Ban>(
    (soonest, one) => (endOf(one) < endOf(soonest) ? one : soonest),
    first,
  )
  return { reason, until }
}

/** A ban that was lifted since it was seen. */
const UNKNOWN: Ban = { reason: null, until: null }
