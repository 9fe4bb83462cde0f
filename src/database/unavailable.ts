/** The database cannot respond at the moment: a later retry can succeed, and the request is not at fault. */
export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    const { message, code } = cause as { message?: string; code?: string }
    super(`The database is not available: ${message || code || cause}`, { cause })
    this.name = 'DatabaseUnavailable'
  }
}

/** No connection was available in time, or the caller disconnected. */
export class DatabaseBusy extends DatabaseUnavailable {
  constructor(reason: string) {
    super(new Error(reason))
    this.name = 'DatabaseBusy'
  }
}

/**
 * SQLSTATE codes of transient errors: connection failures, too many connections, shutdown, read-only after a failover,
 * missing tables before a migration, serialization failures and deadlocks, and timeouts of statements, locks and
 * transactions.
 */
const TRANSIENT = /^(08...|40001|40P01|53...|55P03|57014|57P0[1-5]|25006|25P0[34]|42P01|42703|42883)$/

/** Transient errors that leave the session usable: the statement failed, or its transaction was rolled back. */
const SESSION_USABLE = /^(40001|40P01|55P03|57014)$/

/** Returns whether the session can run another statement after an error. */
export function leavesSessionUsable(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code)) return false
  return !TRANSIENT.test(code) || SESSION_USABLE.test(code)
}

/**
 * Converts errors of the server or the connection to {@link DatabaseUnavailable}; returns errors of the statement
 * itself unchanged.
 */
export function toUnavailable(error: unknown): unknown {
  if (error instanceof DatabaseUnavailable) return error
  const code = (error as { code?: unknown }).code
  const isStatementError = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
  return isStatementError && !TRANSIENT.test(code) ? error : new DatabaseUnavailable(error)
}

const sqlState = ({ cause }: DatabaseUnavailable) => String((cause as { code?: unknown } | undefined)?.code)

/** Returns whether an error means an outage, which affects all requests, rather than one statement. */
export const isOutage = (error: unknown): error is DatabaseUnavailable =>
  error instanceof DatabaseUnavailable &&
  !(error instanceof DatabaseBusy) &&
  !SESSION_USABLE.test(sqlState(error))

/** SQLSTATE codes before a migration: undefined table, column, function. */
const UNMIGRATED: ReadonlySet<string> = new Set(['42P01', '42703', '42883'])

/** Returns whether the error shows that a migration has not run. */
export const isUnmigrated = (error: unknown): boolean =>
  error instanceof DatabaseUnavailable && UNMIGRATED.has(sqlState(error))
