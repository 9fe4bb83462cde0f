import { type Kysely, sql, type Transaction } from 'kysely'
import { GUARDS } from '#src/auth/permission.ts'
import { grant, type Holder, revoke } from './permissions.ts'
import type { Schema } from './schema.ts'

const [GUARD] = GUARDS

/** A role of the first guard's. */
export interface Role {
  id: number
  name: string
  color: string | null
  priority: number
  isDefault: boolean
  /** The names of what it allows. */
  permissions: string[]
}

/** What all roles allow, at one moment. */
export interface RoleBook {
  /** Changes with every change of what they mean. */
  version: number
  /** Highest priority first. */
  roles: Role[]
  /** The names of all permissions that there are. */
  permissions: string[]
}

/** All roles and permissions of the first guard. */
export async function listRoles(db: Kysely<Schema>): Promise<RoleBook> {
  const { rows } = await sql<RoleBook>`
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

/** How many users have a role; `types` are the class names that mean a user. */
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

/** Why roles stay as they are. */
type NotChanged = 'changed meanwhile' | 'not allowed' | 'no such role'

/** What roles or permissions are given, and which are taken. */
export interface Change {
  granted: string[]
  revoked: string[]
}

/** What makes one list of names of another. */
export const changeOf = (before: readonly string[], after: readonly string[]): Change => ({
  granted: after.filter(name => !before.includes(name)),
  revoked: before.filter(name => !after.includes(name)),
})

/**
 * Has a role allow exactly what is named, unless roles or permissions have changed since they were looked at.
 *
 * @param transaction one that has locked what roles mean, to change it
 * @param change.names names of permissions; what is none is left out
 * @param change.version that of the {@link RoleBook} that was looked at
 * @param change.holdsAll whether the user who asks may do all that some permissions name: it has to be all that the role
 *   allows, before and after
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
  const book = await listRoles(transaction)
  const role = book.roles.find(({ id }) => id === roleId)
  if (role === undefined) return 'no such role'
  const after = book.permissions.filter(name => names.includes(name))
  if (!holdsAll([...role.permissions, ...after])) return 'not allowed'
  if (book.version !== version) return 'changed meanwhile'
  const change = changeOf(role.permissions, after)
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
 * Gives a user exactly the named roles.
 *
 * @param transaction one that has locked the user, and what roles mean
 * @param change.names names of roles; what is none is left out
 * @param change.mayChange whether a role may be given and taken by whoever asks
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
  const change = changeOf(
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
