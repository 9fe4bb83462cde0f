import { closest, distance } from 'fastest-levenshtein'
import type { Kysely } from 'kysely'
import type { Grantable } from '#src/database/permissions.ts'
import { listRoles } from '#src/database/roles.ts'
import type { Schema } from '#src/database/schema.ts'
import { CommandError } from './context.ts'

/** The most single-character edits between a name and one that is suggested for it. */
const MOST_EDITS = 4

/** Throws a {@link CommandError} that lists the roles, unless there is a role of that name. */
export async function requireRole(db: Kysely<Schema>, name: string): Promise<void> {
  await requireName(db, 'role', name)
}

/**
 * Throws a {@link CommandError} that says which names there are, unless there is a role or permission of that name: all
 * of them for roles, the closest one for permissions, of which there are many.
 */
export async function requireName(db: Kysely<Schema>, kind: Grantable, name: string): Promise<void> {
  const book = await listRoles(db)
  const names = kind === 'role' ? book.roles.map(role => role.name) : book.permissions
  if (names.includes(name)) return
  throw new CommandError(`There is no ${kind} ${name}. ${remedy(kind, name, names)}`)
}

function remedy(kind: Grantable, name: string, names: readonly string[]): string {
  if (names.length === 0) return 'The database has none: run "seed".'
  if (kind === 'role') return `Roles: ${names.join(', ')}.`
  const nearest = closest(name.toLowerCase(), names)
  const suggestion = distance(name.toLowerCase(), nearest) <= MOST_EDITS ? `Did you mean "${nearest}"? ` : ''
  return `${suggestion}"permission list" has all of them.`
}
