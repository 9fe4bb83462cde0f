/** The database cannot answer now, and may later: nothing is wrong with the request. */
export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    const { message, code } = cause as { message?: string; code?: string }
    super(`The database is not available: ${message || code || cause}`, { cause })
    this.name = 'DatabaseUnavailable'
  }
}

/**
 * SQLSTATE codes of a server that will answer again: connection trouble, too many connections, shutting down,
 * read-only after a failover, tables that a migration has yet to make, and transactions that stood in each other's way.
 */
const PASSING = /^(08...|40001|40P01|53...|57P0[1-5]|25006|42P01|42703)$/

/**
 * Turns an error into {@link DatabaseUnavailable} if it is about the server or the way to it, and returns it
 * as it is if it is the server's verdict on the statement.
 */
export function asUnavailable(error: unknown): unknown {
  const code = (error as { code?: unknown }).code
  const isVerdict = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
  return isVerdict && !PASSING.test(code) ? error : new DatabaseUnavailable(error)
}
