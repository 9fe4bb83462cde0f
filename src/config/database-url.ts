import { existsSync, readFileSync } from 'node:fs'
import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import { oneOf, parseServerUrl } from './parsers.ts'
import { ExpectedValue } from './setting.ts'

/** How a PostgreSQL server is reached. What is undefined has the default of libpq, such as PGUSER. */
export interface DatabaseAddress {
  /** A host name or an IP address, or the directory of a unix socket. */
  host: string | undefined
  port: number | undefined
  user: string | undefined
  password: string | undefined
  database: string | undefined
  /** False for an unencrypted connection; undefined for PGSSLMODE. */
  ssl: false | ConnectionOptions | undefined
  /** Command-line options of the session, such as `-c search_path=auth`. */
  options: string | undefined
}

const MODES = ['disable', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const

/** Where PostgreSQL's packages put the socket: Debian and Red Hat, then its own default. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp']

/**
 * Parses a connection URL of PostgreSQL (libpq, "Connection URIs") with one host. Certificates are read from their files.
 *
 * A unix socket is meant by `host=/directory`, by a directory as the percent-encoded host, and by no host at all if there
 * is a socket. `sslmode=require` encrypts without verifying the server, unless `sslrootcert` names a certificate
 * authority; `verify-ca` verifies the certificate, `verify-full` the host name as well. Without `sslrootcert`, or with
 * `sslrootcert=system`, the authorities are those of Node. Modes with a fallback to an unencrypted connection are refused.
 *
 * @throws {ExpectedValue} for text that is no such URL, an unknown `sslmode`, and files that cannot be read
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
 */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  // The URL parser refuses a user or a port without a host.
  const hasNoHost = /^[a-z]+:\/\/([^/?]*@)?(:\d+)?[/?]/.test(text)
  const url = parseServerUrl(hasNoHost ? text.replace(/^[a-z]+:\/\/([^/?]*@)?/, `$&${PLACEHOLDER}`) : text, [
    'postgres:',
    'postgresql:',
  ])
  const parameters = new URLSearchParams(url.search.replaceAll('+', '%2B'))
  const port = parameters.get('port') ?? url.port
  if (port !== '' && !/^\d{1,5}$/.test(port)) throw new ExpectedValue('a number as port')
  const named = parameters.get('host') ?? (hasNoHost ? '' : decode(url.hostname.replace(/^\[(.*)\]$/, '$1')))
  const host = named || findSocket(port || '5432')
  return {
    host,
    port: port === '' ? undefined : Number(port),
    user: parameters.get('user') ?? (decode(url.username) || undefined),
    password: parameters.get('password') ?? (decode(url.password) || undefined),
    database: parameters.get('dbname') ?? (decode(url.pathname.slice(1)) || undefined),
    ssl: host?.startsWith('/') ? false : parseTls(parameters, host),
    options: parameters.get('options') ?? undefined,
  }
}

const PLACEHOLDER = 'socket'

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ExpectedValue('a percent sign as %25')
  }
}

/** Validates a connection URL of PostgreSQL and returns its text. */
export function databaseUrl(text: string): string {
  parseDatabaseUrl(text)
  return text
}

/** The directory of the local server's socket. */
function findSocket(port: string): string | undefined {
  if (process.env.PGHOST) return process.env.PGHOST
  return SOCKET_DIRECTORIES.find(directory => existsSync(`${directory}/.s.PGSQL.${port}`))
}

function parseTls(parameters: URLSearchParams, host: string | undefined): DatabaseAddress['ssl'] {
  const given =
    parameters.get('sslmode') ?? (/^(true|1)$/.test(parameters.get('ssl') ?? '') ? 'verify-full' : null)
  const read = (name: string) => readCertificate(name, parameters.get(name))
  const authority = parameters.get('sslrootcert') === 'system' ? undefined : read('sslrootcert')
  if (given === null) {
    if (authority === undefined && !parameters.has('sslrootcert')) return undefined
    throw new ExpectedValue('sslmode=verify-full with sslrootcert')
  }
  if (given === 'prefer' || given === 'allow') {
    throw new ExpectedValue(
      `sslmode=verify-full, verify-ca, require or disable, because with ${given} the network could have the connection unencrypted`,
    )
  }
  const mode = parseMode(given)
  if (mode === 'disable') return false
  if (mode === 'verify-ca' && authority === undefined) {
    throw new ExpectedValue('sslrootcert with sslmode=verify-ca, or sslmode=verify-full')
  }
  const isVerified = mode.startsWith('verify-') || (mode === 'require' && authority !== undefined)
  return {
    rejectUnauthorized: isVerified,
    ca: authority,
    cert: read('sslcert'),
    key: read('sslkey'),
    // Node would compare the certificate to "localhost" where the host is an IP address.
    checkServerIdentity: (name, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(host ?? name, certificate) : undefined,
  }
}

function parseMode(text: string) {
  try {
    return oneOf(...MODES)(text)
  } catch {
    throw new ExpectedValue(`sslmode to be one of ${MODES.join(', ')}`)
  }
}

function readCertificate(name: string, path: string | null): string | undefined {
  if (path === null) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ExpectedValue(`${name} to be a file that can be read (${(error as Error).message})`)
  }
}
