import { type Command, InvalidArgumentError } from 'commander'
import { isoToMillis } from '#src/auth/time.ts'
import type { Config } from '#src/config/config.ts'
import type { Database } from '#src/database/connect.ts'
import { findUserByEmail } from '#src/database/users.ts'
import type { EpochMillis } from '#src/runtime/units.ts'
import { CommandError } from './context.ts'

/** Collects the values of a repeatable option. */
export const collect = (value: string, previous: string[]) => [...previous, value]

/**
 * Parses a time as {@link isoToMillis} does.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function parseTime(text: string): EpochMillis {
  const moment = isoToMillis(text)
  if (Number.isNaN(moment)) {
    throw new InvalidArgumentError('expected a date such as 2027-01-31 or 2027-01-31T12:00:00Z')
  }
  return moment
}

/**
 * Parses a whole number that is not negative.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number below 1,000,000,000')
  return Number(text)
}

/**
 * Parses a whole number from 1.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function parsePositive(text: string): number {
  const count = parseCount(text)
  if (count === 0) throw new InvalidArgumentError('expected a whole number from 1')
  return count
}

/** Parses the id of a token; ends the command with a usage error for anything else. */
export function parseTokenId(id: string, command: Command): number {
  if (!/^\d{1,15}$/.test(id)) command.error(`error: ID ${id}: expected the number before the | of the token`)
  return Number(id)
}

/**
 * Finds the user of an e-mail address.
 *
 * @throws {CommandError} if there is none
 */
export async function requireUserByEmail(
  { kysely }: Pick<Database, 'kysely'>,
  { tokenableTypes }: Config,
  email: string,
) {
  const user = await findUserByEmail(kysely, email)
  if (user === null) throw new CommandError(`There is no user with the e-mail address ${email}.`)
  return { userId: user.id, name: user.name, types: tokenableTypes }
}

/** Formats cells as aligned columns. Control characters are replaced, so that they cannot control the terminal. */
export function formatColumns(cells: string[][]): string[] {
  const rows = cells.map(row => row.map(cell => cell.replace(/\p{C}/gu, '?')))
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, (row[column] ?? '').length), 0),
  )
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
