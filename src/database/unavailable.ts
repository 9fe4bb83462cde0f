/** The database cannot answer now, and may later: nothing is wrong with the request. */
export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    const { message, code } = cause as { message?: string; code?: string }
    super(`The database is not available: ${message || code || cause}`, { cause })
    this.name = 'DatabaseUnavailable'
  }
}

/** There is no connection to be had in time, or nobody waits for the answer any longer. */
export class DatabaseBusy extends DatabaseUnavailable {
  constructor(reason: string) {
    super(new Error(reason))
    this.name = 'DatabaseBusy'
  }
}

/**
 * SQLSTATE codes of a server that will answer again: connection trouble, too many connections, shutting down,
 * read-only after a failover, tables that a migration has yet to make, transactions that stood in each other's way,
 * and limits of time for statements, locks and transactions.
 */
const PASSING = /^(08...|40001|40P01|53...|55P03|57014|57P0[1-5]|25006|25P0[34]|42P01|42703|42883)$/

/** Those of them after which the session goes on: the statement failed, or its transaction was rolled back. */
const SURVIVED = /^(40001|40P01|55P03|57014)$/

/** Whether an error leaves its session in a state in which another statement can be sent. */
export function isSurvived(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return false
  return !PASSING.test(code) || SURVIVED.test(code)
}

/**
 * Turns an error into {@link DatabaseUnavailable} if it is about the server or the way to it, and returns it
 * as it is if it is the server's verdict on the statement.
 */
export function asUnavailable(error: unknown): unknown {
  if (error instanceof DatabaseUnavailable) return error
  const code = (error as { code?: unknown }).code
  const isVerdict = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
  return isVerdict && !PASSING.test(code) ? error : new DatabaseUnavailable(error)
}

const sqlState = ({ cause }: DatabaseUnavailable) => String((cause as { code?: unknown } | undefined)?.code)

/** What every request and every task meets while the database is away, as opposed to what one statement met. */
export const isOutage = (error: unknown): error is DatabaseUnavailable =>
  error instanceof DatabaseUnavailable && !(error instanceof DatabaseBusy) && !SURVIVED.test(sqlState(error))

/** SQLSTATE codes of what a migration has yet to make: undefined table, column, function. */
const UNMIGRATED: ReadonlySet<string> = new Set(['42P01', '42703', '42883'])

/** Whether the database lacks what a migration of this version makes. */
export const isUnmigrated = (error: unknown): boolean =>
  error instanceof DatabaseUnavailable && UNMIGRATED.has(sqlState(error))
