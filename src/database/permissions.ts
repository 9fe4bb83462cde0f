import { type Kysely, sql } from 'kysely'
import { GUARDS, PERMISSIONS, ROLES } from '#src/auth/permission.ts'
import { millisToSeconds } from '#src/auth/time.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Schema } from './schema.ts'
import { inTransaction } from './transaction.ts'

const [GUARD] = GUARDS

/**
 * Adds the missing roles, permissions and prohibitions of AnimeThemes. Existing rows stay unchanged, except that a
 * seeded role gets its seeded permissions back.
 */
export async function seedPermissions(db: Kysely<Schema>, now: EpochMillis): Promise<void> {
  const created_at = millisToSeconds(now)
  const timestamps = { created_at, updated_at: created_at }
  await inTransaction(db, async transaction => {
    await transaction
      .insertInto('permissions')
      .values(PERMISSIONS.map(name => ({ name, guard_name: GUARD, ...timestamps })))
      .onConflict(conflict => conflict.columns(['name', 'guard_name']).doNothing())
      .execute()
    await transaction
      .insertInto('roles')
      .values(
        ROLES.map(({ name, color, priority, default: isDefault }) => ({
          name,
          guard_name: GUARD,
          color,
          priority,
          default: isDefault,
          ...timestamps,
        })),
      )
      .onConflict(conflict => conflict.columns(['name', 'guard_name']).doNothing())
      .execute()
    await transaction
      .insertInto('prohibitions')
      .values(PERMISSIONS.map(name => ({ name, ...timestamps })))
      .onConflict(conflict => conflict.column('name').doNothing())
      .execute()
    for (const role of ROLES) {
      await transaction
        .insertInto('role_has_permissions')
        .columns(['role_id', 'permission_id'])
        .expression(
          transaction
            .selectFrom('roles')
            .innerJoin('permissions', 'permissions.guard_name', 'roles.guard_name')
            .select(['roles.id', 'permissions.id as permission_id'])
            .where('roles.name', '=', role.name)
            .where('roles.guard_name', '=', GUARD)
            .where('permissions.name', 'in', role.permissions),
        )
        .onConflict(conflict => conflict.doNothing())
        .execute()
    }
  })
}

/** Returns whether any permission exists: without one, no user may do anything. */
export async function hasPermissions(db: Kysely<Schema>): Promise<boolean> {
  return (await db.selectFrom('permissions').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** The user who holds a role or permission. `types` are the `model_type` values of users; new rows get the first. */
export interface Holder {
  userId: number
  types: readonly [string, ...string[]]
}

/** What can be granted to a user by name. */
export type Grantable = 'role' | 'permission'

const tablesOf = (kind: Grantable) => ({
  named: sql.table(`${kind}s`),
  held: sql.table(`model_has_${kind}s`),
  key: sql.ref(`${kind}_id`),
})

/** Grants a user the named roles or permissions; existing grants stay. Returns the names that do not exist. */
export async function grant(
  db: Kysely<Schema>,
  kind: Grantable,
  { userId, types }: Holder,
  names: readonly string[],
): Promise<string[]> {
  const { named, held, key } = tablesOf(kind)
  const { rows } = await sql<{ name: string }>`
    with named as (
      select id, name from ${named} where name = any(${names}::text[]) and guard_name = ${GUARD}
    ), given as (
      insert into ${held} (${key}, model_type, model_id)
      select id, ${types[0]}, ${userId}::bigint from named
      where not exists (
        select from ${held}
        where ${key} = named.id and model_id = ${userId}::bigint and model_type = any(${types}::text[])
      )
      on conflict do nothing
    )
    select name from named`.execute(db)
  return missingNames(names, rows)
}

/** Revokes a user's named roles or direct permissions. Returns the names that do not exist. */
export async function revoke(
  db: Kysely<Schema>,
  kind: Grantable,
  { userId, types }: Holder,
  names: readonly string[],
): Promise<string[]> {
  const { named, held, key } = tablesOf(kind)
  const { rows } = await sql<{ name: string }>`
    with named as (
      select id, name from ${named} where name = any(${names}::text[]) and guard_name = any(${GUARDS}::text[])
    ), taken as (
      delete from ${held}
      where ${key} in (select id from named)
        and model_id = ${userId}::bigint and model_type = any(${types}::text[])
    )
    select name from named`.execute(db)
  return missingNames(names, rows)
}

/** Grants a user the default roles, which every user with a verified e-mail address has. */
export async function grantDefaultRoles(db: Kysely<Schema>, holder: Holder): Promise<void> {
  const roles = await db
    .selectFrom('roles')
    .select('name')
    .where('default', '=', true)
    .where('guard_name', '=', GUARD)
    .execute()
  await grant(
    db,
    'role',
    holder,
    roles.map(role => role.name),
  )
}

const missingNames = (names: readonly string[], found: readonly { name: string }[]) =>
  names.filter(name => !found.some(row => row.name === name))
