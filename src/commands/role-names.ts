import { closest, distance } from 'fastest-levenshtein'
import type { Kysely } from 'kysely'
import { unknownNames } from '#src/accounts/roles.ts'
import type { Grantable } from '#src/database/permissions.ts'
import { listRoles } from '#src/database/roles.ts'
import type { Schema } from '#src/database/schema.ts'
import { CommandError } from './context.ts'

/** The maximum edit distance of a suggested name. */
const MAX_EDITS = 4

/**
 * Requires that a role exists.
 *
 * @throws {CommandError} listing the roles
 */
export async function requireRole(db: Kysely<Schema>, name: string): Promise<void> {
  await requireName(db, 'role', name)
}

/**
 * Requires that a role or permission exists.
 *
 * @throws {CommandError} listing all roles, or suggesting the closest permission
 */
export async function requireName(db: Kysely<Schema>, kind: Grantable, name: string): Promise<void> {
  const book = await listRoles(db)
  const names = kind === 'role' ? book.roles.map(role => role.name) : book.permissions
  if (names.includes(name)) return
  throw new CommandError(`${unknownNames(kind, [name])} ${remedy(kind, name, names)}`)
}

function remedy(kind: Grantable, name: string, names: readonly string[]): string {
  if (names.length === 0) return 'The database has none: run "seed".'
  if (kind === 'role') return `Roles: ${names.join(', ')}.`
  const nearest = closest(name.toLowerCase(), names)
  const suggestion = distance(name.toLowerCase(), nearest) <= MAX_EDITS ? `Did you mean "${nearest}"? ` : ''
  return `${suggestion}"permission list" has all of them.`
}
