/** The database cannot respond at the moment: a later retry can succeed, and the request is not at fault. */
export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    const { message, code } = cause as { message?: string; code?: string }
    const hint = code === undefined ? undefined : HINTS[code]
    super(`The database is not available: ${message || code || cause}${hint ? ` (${hint})` : ''}`, { cause })
    this.name = 'DatabaseUnavailable'
  }
}

const UNREACHABLE = 'check host and port in DATABASE_URL'
const UNKNOWN_AUTHORITY =
  "sslrootcert in DATABASE_URL must name the authority that signed the server's certificate"
const REFUSED_LOGIN = 'check user, password and sslmode in DATABASE_URL'

/** What the operator can do, by the code of an error of PostgreSQL, Node or TLS. */
const HINTS: Readonly<Record<string, string>> = {
  '25006':
    'DATABASE_URL leads to a read-only database: name the primary, or unset default_transaction_read_only',
  '28000': REFUSED_LOGIN,
  '28P01': REFUSED_LOGIN,
  '3D000': 'DATABASE_URL must name an existing database',
  '3F000': 'the search_path of the database, the role or DATABASE_URL must name an existing schema',
  EAI_AGAIN: UNREACHABLE,
  ECONNREFUSED: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENOENT: UNREACHABLE,
  ENOTFOUND: UNREACHABLE,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  ERR_TLS_CERT_ALTNAME_INVALID: 'the host in DATABASE_URL must be a name of the certificate',
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
