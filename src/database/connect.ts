import { Kysely } from 'kysely'
import type { Config } from '#src/config/config.ts'
import { connectionShares, DEFAULT_CONNECTIONS } from '#src/runtime/connection-shares.ts'
import type { KeyLimit } from '#src/runtime/slots.ts'
import { type ConnectionRequest, WRITE_REQUEST } from './connection-classes.ts'
import {
  type Connection,
  ConnectionDialect,
  type ConnectionSource,
  KyselyConnection,
  type NotificationEvents,
  type NotificationListener,
  statementNamer,
} from './dialect.ts'
import { postgresConnections } from './postgres.ts'
import type { Schema } from './schema.ts'
import type { StatementRunner } from './statement-runner.ts'
import { toUnavailable } from './unavailable.ts'

/** The caller of a list query. */
export interface ListCaller {
  /** The key of the caller's share of the list connections; null for no limit. */
  caller: string | null
  /**
   * Whether the query is known to be expensive. Heavy queries never occupy all list connections, and run in a read-only
   * transaction whose statements the server cancels at a timeout.
   */
  isHeavy: boolean
  /** Cancels the statements when it aborts. Created only for statements that take long. */
  signal: (() => AbortSignal) | undefined
}

/** The database as the other modules use it, with separate connections for each connection class. */
export interface Database {
  /** Writes and other short statements. Transactions and lock waits have timeouts. */
  kysely: Kysely<Schema>
  /** Statements of logins: passwords, attempt counters, sessions. */
  logins: Kysely<Schema>
  /** Migrations: no timeouts. */
  migrations: Kysely<Schema>
  /**
   * Runs the statements of a list sequentially on one connection.
   *
   * @throws {DatabaseBusy} when too many list queries are running, or the caller disconnects
   */
  list<T>(caller: ListCaller, work: (db: Kysely<Schema>) => Promise<T>): Promise<T>
  /** As {@link Database.list}, for compiled statements: it does not make a Kysely. */
  listStatements<T>(caller: ListCaller, work: (db: StatementRunner) => Promise<T>): Promise<T>
  /**
   * Prepares an identity lookup under its own name. The returned function runs it with parameters.
   *
   * @throws {DatabaseUnavailable} when the database does not respond
   */
  prepare<Row>(name: string, text: string): (parameters: readonly unknown[]) => Promise<Row[]>
  /** Listens for NOTIFY on a channel. */
  listen(channel: string, events: NotificationEvents): Promise<NotificationListener>
  /** Registers a listener for lost connections. The returned function removes it. */
  onLost(listener: (error: Error) => void): () => void
  /** Opens the embedded database; otherwise the first statement does. */
  open(): Promise<void>
  close(): Promise<void>
}

export interface ConnectOptions {
  /** The name of this process in the error that others get while it holds the embedded database. */
  command: string
  /** Whether to run statements in the process that holds the embedded database, if there is one. */
  share: boolean
  onLostConnection(error: Error): void
}

/** Returns the database of DATABASE_URL, or the embedded one in DATA_DIR. Connects on first use. */
export function connectDatabase(
  {
    databaseUrl,
    databaseListenUrl,
    databasePrepare,
    databaseConnections,
    dataDir,
  }: Pick<
    Config,
    'databaseUrl' | 'databaseListenUrl' | 'databasePrepare' | 'databaseConnections' | 'dataDir'
  >,
  { command, share, onLostConnection }: ConnectOptions,
): Database {
  return databaseOver(
    databaseUrl === null
      ? openLazily(async () => {
          // PGlite is half a megabyte of code that a server with PostgreSQL does not need.
          const { openEmbedded } = await import('./embedded.ts')
          return openEmbedded({ dataDir, command, share })
        })
      : {
          ...postgresConnections(databaseUrl, onLostConnection, {
            listenUrl: databaseListenUrl ?? undefined,
            prepares: databasePrepare,
            connections: databaseConnections,
          }),
          open: async () => {},
        },
    { connections: databaseConnections },
  )
}

/**
 * Bulkhead of list queries: which share of the list connections one caller may hold, and all heavy queries together,
 * and how many queries may wait under each of these keys.
 */
const LIST_LIMITS = { share: 0.5, maxWaiting: 20 }

/** Makes a {@link Database} over any source of connections. */
export function databaseOver(
  source: ConnectionSource & { open(): Promise<void> },
  { connections = DEFAULT_CONNECTIONS }: { connections?: number } = {},
): Database {
  const nameStatement = statementNamer()
  const kyselyFor = (request?: ConnectionRequest) =>
    new Kysely<Schema>({ dialect: new ConnectionDialect(source, nameStatement, request) })
  const maxHeld = Math.max(1, Math.floor(connectionShares(connections).list * LIST_LIMITS.share))
  const keyLimit = (key: string): KeyLimit => ({ key, maxHeld, maxWaiting: LIST_LIMITS.maxWaiting })
  const withListSession = async <T>(
    { caller, isHeavy, signal }: ListCaller,
    work: (session: Connection) => Promise<T>,
  ): Promise<T> => {
    const keyLimits = caller === null ? [] : [keyLimit(caller)]
    if (isHeavy) keyLimits.push(keyLimit('heavy'))
    const session = await source.acquire({
      connectionClass: 'list',
      isReadOnly: isHeavy,
      keyLimits,
      ...(signal && { signal }),
    })
    try {
      return await work(session)
    } finally {
      await session.release()
    }
  }
  return {
    kysely: kyselyFor(),
    logins: kyselyFor({ connectionClass: 'login' }),
    migrations: kyselyFor({ ...WRITE_REQUEST, hasNoDeadline: true }),
    list: (caller, work) =>
      withListSession(caller, session => {
        const held: Connection = {
          query: (text, parameters, name) => session.query(text, parameters, name),
          release: async () => {},
        }
        const dialect = new ConnectionDialect({ acquire: async () => held }, nameStatement)
        return work(new Kysely({ dialect }))
      }),
    listStatements: (caller, work) =>
      withListSession(caller, session => work(new KyselyConnection(session, nameStatement))),
    prepare:
      <Row>(name: string, text: string) =>
      async (parameters: readonly unknown[]) => {
        const session = await source.acquire({ connectionClass: 'identity' })
        try {
          return (await session.query(text, parameters, name)).rows as Row[]
        } finally {
          await session.release()
        }
      },
    listen: (channel, events) => source.listen(channel, events),
    onLost: listener => source.onLost?.(listener) ?? (() => {}),
    open: source.open,
    close: () => source.close(),
  }
}

function openLazily(open: () => Promise<ConnectionSource>): ConnectionSource & { open(): Promise<void> } {
  let opened: Promise<ConnectionSource> | undefined
  const source = () => {
    opened ??= open()
    return opened
  }
  return {
    async open() {
      await source()
    },
    async acquire(request) {
      const session = await (await source()).acquire(request)
      return {
        query: (sql, parameters, name) =>
          session.query(sql, parameters, name).catch(error => {
            throw toUnavailable(error)
          }),
        release: () => session.release(),
      }
    },
    async listen(channel, events) {
      return (await source()).listen(channel, events)
    },
    async close() {
      await (await opened)?.close()
    },
  }
}
