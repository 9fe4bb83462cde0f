import { EVERYTHING } from '#src/auth/ban.ts'
import { BYPASS_AUTHORIZATION, GUARDS } from '#src/auth/permission.ts'
import type { Database } from './connect.ts'

/** A user's grants: comma-separated ids. */
export interface Grants {
  roles: string
  permissions: string
  sanctions: string
  prohibitions: string
}

/** The definitions of roles, permissions, sanctions and prohibitions at one version. */
export interface PermissionMap {
  /** Increases with every change of the definitions, by any writer. */
  version: number
  /** The names of the permissions held directly or by roles. The same grants give the same set object. */
  permissions(grants: Grants): ReadonlySet<string>
  /** The names of the prohibited permissions, directly or by a sanction. */
  prohibitions(grants: Grants): ReadonlySet<string>
  /** Whether a user is banned from everything: by the sanction for that, or from every existing permission. */
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

/** One statement, and so one snapshot. */
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

/** How many combinations of grants are cached. */
const CACHE_SIZE = 1_000

/** Provides the map of a version. */
export interface PermissionMaps {
  /** The map of a version or a later one, loaded unless it is cached. */
  (version: number): Promise<PermissionMap>
  /** The map of a version, if it is cached. */
  cached(version: number): PermissionMap | undefined
}

/**
 * Caches what the ids of roles and permissions mean. The map of a version is never older than the call.
 *
 * @param others another cache to read from; never written to
 */
export function permissionMaps(
  database: Pick<Database, 'prepare'>,
  others: Pick<PermissionMaps, 'cached'> | null = null,
): PermissionMaps {
  const select = database.prepare<MapRow>('permission_map', SELECT_MAP)
  let current: PermissionMap | undefined
  let loading: Promise<PermissionMap> | undefined

  const load = async () => {
    const [row] = await select([GUARDS, EVERYTHING])
    if (row === undefined) throw new Error('The table permission_versions has lost its row.')
    current = buildMap(row)
    return current
  }

  const cached = (version: number) => (current?.version === version ? current : others?.cached(version))

  const loadVersion = async (version: number): Promise<PermissionMap> => {
    const hit = cached(version)
    if (hit !== undefined) return hit
    // The pending load may have begun before this version existed.
    const pending = await loading
    if (pending?.version === version) return pending
    loading ??= load().finally(() => {
      loading = undefined
    })
    return loading
  }
  return Object.assign(loadVersion, { cached })
}

function buildMap({
  version,
  permissions,
  roles,
  prohibitions,
  sanctions,
  everything,
}: MapRow): PermissionMap {
  const allPermissions = [...new Set(permissions.map(([, name]) => name))]
  const permissionsOf = nameResolver(new Map(permissions), new Map(roles))
  const prohibitionsOf = nameResolver(new Map(prohibitions), new Map(sanctions))
  const coversEverything = ({ prohibitions, sanctions }: Grants) => {
    if (everything !== null && parseIds(sanctions).includes(everything)) return true
    const names = prohibitionsOf(prohibitions, sanctions)
    // Without any permission, no user is banned from all of them.
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
      coversEverything(grants) && !permissionsOf(grants.permissions, grants.roles).has(BYPASS_AUTHORIZATION),
  }
}

const parseIds = (text: string) => (text === '' ? [] : text.split(',').map(Number))

/** Resolves ids, and ids of groups of ids, to a cached set of names. */
function nameResolver(names: ReadonlyMap<number, string>, groups: ReadonlyMap<number, readonly number[]>) {
  const cached = new Map<string, ReadonlySet<string>>()

  return (direct: string, grouped: string): ReadonlySet<string> => {
    const key = `${direct}/${grouped}`
    const set = cached.get(key)
    if (set !== undefined) return set
    const ids = [...parseIds(direct), ...parseIds(grouped).flatMap(id => groups.get(id) ?? [])]
    const resolved = new Set(ids.map(id => names.get(id)).filter(name => name !== undefined))
    if (cached.size < CACHE_SIZE) cached.set(key, resolved)
    return resolved
  }
}
