import { type Kysely, sql, type Transaction } from 'kysely'
import { GUARDS } from '#src/auth/permission.ts'
import { grant, type Holder, revoke } from './permissions.ts'
import type { Schema } from './schema.ts'

const [GUARD] = GUARDS

/** A role of the first guard. */
export interface Role {
  id: number
  name: string
  color: string | null
  priority: number
  isDefault: boolean
  /** The names of its permissions. */
  permissions: string[]
}

/** A snapshot of all roles and their permissions. */
export interface RoleSnapshot {
  /** Increases with every change of their definitions. */
  version: number
  /** Highest priority first. */
  roles: Role[]
  /** The names of all permissions. */
  permissions: string[]
}

/** Reads all roles and permissions of the first guard. */
export async function listRoles(db: Kysely<Schema>): Promise<RoleSnapshot> {
  const { rows } = await sql<RoleSnapshot>`
    select version,
      (select coalesce(json_agg(role order by role.priority desc, role.id), '[]') from (
        select r.id, r.name, r.color, r.priority, r."default" as "isDefault", array(
          select p.name from role_has_permissions rp
          join permissions p on p.id = rp.permission_id and p.guard_name = r.guard_name
          where rp.role_id = r.id order by p.id
        ) as permissions
        from roles r where r.guard_name = ${GUARD}
      ) as role) as roles,
      array(select name from permissions where guard_name = ${GUARD} order by id) as permissions
    from permission_versions`.execute(db)
  const [row] = rows
  if (row === undefined) throw new Error('The table permission_versions has lost its row.')
  return { ...row, version: Number(row.version) }
}

/** Counts the users who have a role; `types` are the `model_type` values of users. */
export async function countHolders(
  db: Kysely<Schema>,
  roleId: number,
  types: readonly string[],
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(distinct model_id)::int as count from model_has_roles
    where role_id = ${roleId}::bigint and model_type = any(${types}::text[])`.execute(db)
  return rows[0]?.count ?? 0
}

/** Why roles were not changed. */
type NotChanged = 'changed meanwhile' | 'not allowed' | 'no such role'

/** The roles or permissions that are granted and revoked. */
export interface Change {
  granted: string[]
  revoked: string[]
}

/** Returns the names to grant and to revoke to change one list into another. */
export const diffNames = (before: readonly string[], after: readonly string[]): Change => ({
  granted: after.filter(name => !before.includes(name)),
  revoked: before.filter(name => !after.includes(name)),
})

/**
 * Sets the permissions of a role, unless roles or permissions changed since the form was rendered.
 *
 * @param transaction holds the exclusive lock of {@link lockAuthority} on roles
 * @param change.names names of permissions; unknown names are ignored
 * @param change.version the version of the {@link RoleSnapshot} that was shown
 * @param change.holdsAll whether the caller has all of some permissions: required for those of the role before and
 *   after
 */
export async function setRolePermissions(
  transaction: Transaction<Schema>,
  roleId: number,
  {
    names,
    version,
    holdsAll,
  }: { names: readonly string[]; version: number; holdsAll(permissions: readonly string[]): boolean },
): Promise<(Change & { role: string }) | NotChanged> {
  const snapshot = await listRoles(transaction)
  const role = snapshot.roles.find(({ id }) => id === roleId)
  if (role === undefined) return 'no such role'
  const after = snapshot.permissions.filter(name => names.includes(name))
  if (!holdsAll([...role.permissions, ...after])) return 'not allowed'
  if (snapshot.version !== version) return 'changed meanwhile'
  const change = diffNames(role.permissions, after)
  if (change.granted.length > 0) {
    await sql`
      insert into role_has_permissions (role_id, permission_id)
      select ${roleId}::bigint, id from permissions
      where name = any(${change.granted}::text[]) and guard_name = ${GUARD}`.execute(transaction)
  }
  if (change.revoked.length > 0) {
    await sql`
      delete from role_has_permissions where role_id = ${roleId}::bigint and permission_id in (
        select id from permissions where name = any(${change.revoked}::text[]) and guard_name = ${GUARD}
      )`.execute(transaction)
  }
  return { ...change, role: role.name }
}

/**
 * Sets the roles of a user.
 *
 * @param transaction holds the locks of {@link lockAuthority}
 * @param change.names names of roles; unknown names are ignored
 * @param change.mayChange whether the caller may grant and revoke a role
 */
export async function setUserRoles(
  transaction: Transaction<Schema>,
  holder: Holder,
  { names, mayChange }: { names: readonly string[]; mayChange(role: Role): boolean },
): Promise<Change | 'not allowed'> {
  const { roles } = await listRoles(transaction)
  const { rows } = await sql<{ name: string }>`
    select distinct r.name from model_has_roles m join roles r on r.id = m.role_id
    where m.model_id = ${holder.userId}::bigint and m.model_type = any(${holder.types}::text[])
      and r.guard_name = ${GUARD}`.execute(transaction)
  const after = roles.filter(({ name }) => names.includes(name)).map(({ name }) => name)
  const change = diffNames(
    rows.map(({ name }) => name),
    after,
  )
  const isAllowed = [...change.granted, ...change.revoked].every(name => {
    const role = roles.find(one => one.name === name)
    return role !== undefined && mayChange(role)
  })
  if (!isAllowed) return 'not allowed'
  await grant(transaction, 'role', holder, change.granted)
  await revoke(transaction, 'role', holder, change.revoked)
  return change
}
