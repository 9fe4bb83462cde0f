import { InvalidArgumentError } from 'commander'
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import { findUserByEmail } from '../database/users.ts'
import { CommandError } from './context.ts'

/** For options that may be repeated. */
export const collect = (value: string, previous: string[]) => [...previous, value]

/**
 * A moment in ISO 8601, in milliseconds since the epoch. A date alone is its midnight, and without an offset
 * it is UTC.
 *
 * @throws {InvalidArgumentError} for anything else
 */
export function parseMoment(text: string): number {
  const [, date, time = 'T00:00', offset = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  const moment = Date.parse(`${date}${time}${offset}`)
  if (Number.isNaN(moment)) {
    throw new InvalidArgumentError('expected a date such as 2027-01-31 or 2027-01-31T12:00:00Z')
  }
  return moment
}

/** A whole number that is not negative. @throws {InvalidArgumentError} for anything else */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number')
  return Number(text)
}

/** The user with an e-mail address, as the holder of what is given to users. @throws {CommandError} if there is none */
export async function userByEmail({ kysely }: Database, { tokenableTypes }: Config, email: string) {
  const user = await findUserByEmail(kysely, email)
  if (user === null) throw new CommandError(`There is no user with the e-mail address ${email}.`)
  return { userId: user.id, types: tokenableTypes }
}
