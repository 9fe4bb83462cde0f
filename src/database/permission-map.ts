import { EVERYTHING } from '#src/auth/ban.ts'
import { BYPASS_AUTHORIZATION, GUARDS } from '#src/auth/permission.ts'
import type { Database } from './connect.ts'

/** What somebody has been given: ids of rows, with commas between them. */
export interface Grants {
  roles: string
  permissions: string
  sanctions: string
  prohibitions: string
}

/** What roles, permissions, sanctions and prohibitions meant at one moment. */
export interface PermissionMap {
  /** Changes with every change of what they mean, whoever makes it. */
  version: number
  /** The names of the permissions that somebody has, directly or by a role. The same grants give the same set. */
  permissions(grants: Grants): ReadonlySet<string>
  /** The names of the permissions whose use somebody is banned from, directly or by a sanction. */
  prohibitions(grants: Grants): ReadonlySet<string>
  /** Whether a user is banned from everything: by the sanction for that, or from every permission that there is. */
  isBanned(grants: Grants): boolean
  /** The names of all permissions. */
  allPermissions: readonly string[]
}

interface MapRow {
  version: number
  permissions: [id: number, name: string][]
  roles: [id: number, permissions: number[]][]
  prohibitions: [id: number, name: string][]
  sanctions: [id: number, prohibitions: number[]][]
  /** The id of the sanction that bans from everything; null without one. */
  everything: number | null
}

/** All in one statement, and so of one moment. */
const SELECT_MAP = `
  select version,
    (select coalesce(json_agg(json_build_array(id, name)), '[]') from permissions where guard_name = any($1))
      as permissions,
    (select coalesce(json_agg(json_build_array(r.id, array(
      select rp.permission_id from role_has_permissions rp where rp.role_id = r.id
    ))), '[]') from roles r where guard_name = any($1)) as roles,
    (select coalesce(json_agg(json_build_array(id, name)), '[]') from prohibitions) as prohibitions,
    (select coalesce(json_agg(json_build_array(s.id, array(
      select sp.prohibition_id from sanction_prohibition sp where sp.sanction_id = s.id
    ))), '[]') from sanctions s) as sanctions,
    (select id from sanctions where name = $2) as everything
  from permission_versions`

/** How many different combinations of grants are remembered. */
const REMEMBERED = 1_000

/** Gives the map of a version. */
export interface PermissionMaps {
  /** The map of a version or a later one, which is loaded unless it is the one at hand. */
  (version: number): Promise<PermissionMap>
  /** The map of a version, if it is the one at hand. */
  known(version: number): PermissionMap | undefined
}

/**
 * Knows what ids of roles and permissions stand for, in memory. What a version leads to is of after the moment of asking.
 *
 * @param others whose map counts as well, where it is the one that is asked for; it is never given one
 */
export function permissionMaps(
  database: Pick<Database, 'prepare'>,
  others: Pick<PermissionMaps, 'known'> | null = null,
): PermissionMaps {
  const select = database.prepare<MapRow>('permission_map', SELECT_MAP)
  let current: PermissionMap | undefined
  let loading: Promise<PermissionMap> | undefined

  const load = async () => {
    const [row] = await select([GUARDS, EVERYTHING])
    if (row === undefined) throw new Error('The table permission_versions has lost its row.')
    current = makeMap(row)
    return current
  }

  const known = (version: number) => (current?.version === version ? current : others?.known(version))

  const mapOf = async (version: number): Promise<PermissionMap> => {
    const atHand = known(version)
    if (atHand !== undefined) return atHand
    // What is being loaded may have been read before this version came to be.
    const pending = await loading
    if (pending?.version === version) return pending
    loading ??= load().finally(() => {
      loading = undefined
    })
    return loading
  }
  return Object.assign(mapOf, { known })
}

function makeMap({
  version,
  permissions,
  roles,
  prohibitions,
  sanctions,
  everything,
}: MapRow): PermissionMap {
  const allPermissions = [...new Set(permissions.map(([, name]) => name))]
  const permissionsOf = resolver(new Map(permissions), new Map(roles))
  const prohibitionsOf = resolver(new Map(prohibitions), new Map(sanctions))
  const isEverything = ({ prohibitions, sanctions }: Grants) => {
    if (everything !== null && idsIn(sanctions).includes(everything)) return true
    const names = prohibitionsOf(prohibitions, sanctions)
    // Without any permission nobody is banned from all of them.
    return (
      names.size > 0 && names.size >= allPermissions.length && allPermissions.every(name => names.has(name))
    )
  }
  return {
    version,
    allPermissions,
    permissions: grants => permissionsOf(grants.permissions, grants.roles),
    prohibitions: grants => prohibitionsOf(grants.prohibitions, grants.sanctions),
    isBanned: grants =>
      isEverything(grants) && !permissionsOf(grants.permissions, grants.roles).has(BYPASS_AUTHORIZATION),
  }
}

const idsIn = (text: string) => (text === '' ? [] : text.split(',').map(Number))

/** Turns ids, and ids of groups of ids, into a set of names. */
function resolver(names: ReadonlyMap<number, string>, groups: ReadonlyMap<number, readonly number[]>) {
  const known = new Map<string, ReadonlySet<string>>()

  return (direct: string, grouped: string): ReadonlySet<string> => {
    const key = `${direct}/${grouped}`
    const set = known.get(key)
    if (set !== undefined) return set
    const ids = [...idsIn(direct), ...idsIn(grouped).flatMap(id => groups.get(id) ?? [])]
    const made = new Set(ids.map(id => names.get(id)).filter(name => name !== undefined))
    if (known.size < REMEMBERED) known.set(key, made)
    return made
  }
}
