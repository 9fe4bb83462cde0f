import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import { LRUCache } from 'lru-cache'
import type { ConnectionRequest } from './connection-classes.ts'

/** The result of one statement. `affected` counts the rows of an insert, update or delete. */
export interface StatementResult {
  rows: Record<string, unknown>[]
  affected: number
}

/** One PostgreSQL session, held by one caller at a time. */
export interface Connection {
  /** @param name under which the server keeps the statement prepared, if supported */
  query(sql: string, parameters: readonly unknown[], name?: string): Promise<StatementResult>
  release(): Promise<void>
}

/** Events of a listening connection. */
export interface NotificationEvents {
  /** A message on the channel. */
  message(payload: string): void
  /** The connection was lost; notifications from now on are missed. Not called after `close`. */
  lost(error: Error): void
}

/** A connection that listens. */
export interface NotificationListener {
  /**
   * Performs a round trip. Every notification whose transaction committed before the call was delivered when it
   * returns.
   *
   * @throws {DatabaseUnavailable} when there is no response in time; the connection is lost then
   */
  roundTrip(): Promise<void>
  close(): Promise<void>
}

/** A source of sessions: the database of this process, or one that another process holds. */
export interface ConnectionSource {
  /** The statement that begins a transaction; `begin` by default. */
  readonly beginText?: string
  /**
   * Acquires a session. Sessions of class `list` are for reading.
   *
   * @param request defaults to a write
   * @throws {DatabaseUnavailable} when none is available in time
   */
  acquire(request?: ConnectionRequest): Promise<Connection>
  /** Registers a listener for lost sessions. The returned function removes it. */
  onLost?(listener: (error: Error) => void): () => void
  /** Listens for NOTIFY on a channel. */
  listen(channel: string, events: NotificationEvents): Promise<NotificationListener>
  close(): Promise<void>
}

/** What the dialect needs of a {@link ConnectionSource}. */
/** Begins a transaction without timeouts, those of the database and the role included. Zero means none in PostgreSQL. */
const BEGIN_UNLIMITED =
  'begin isolation level read committed; set local statement_timeout = 0; set local lock_timeout = 0; ' +
  'set local idle_in_transaction_session_timeout = 0'

type Acquirable = Pick<ConnectionSource, 'acquire' | 'beginText'>

/** Returns the name under which to prepare a statement; undefined for rare statements. */
export type NameStatement = (text: string) => string | undefined

/**
 * A Kysely dialect over a {@link ConnectionSource}, with PostgreSQL's SQL. Dialects over the same sessions share the
 * function that names statements, since a session knows each name once.
 */
export class ConnectionDialect implements Dialect {
  readonly #source: Acquirable
  readonly #nameStatement: NameStatement
  readonly #request: ConnectionRequest | undefined

  constructor(source: Acquirable, nameStatement: NameStatement, request?: ConnectionRequest) {
    this.#source = source
    this.#nameStatement = nameStatement
    this.#request = request
  }

  createDriver(): Driver {
    return new ConnectionDriver(this.#source, this.#nameStatement, this.#request)
  }

  createQueryCompiler() {
    return new PostgresQueryCompiler()
  }

  createAdapter() {
    return new PostgresAdapter()
  }

  createIntrospector(db: Kysely<unknown>) {
    return new PostgresIntrospector(db)
  }
}

/**
 * How many statements are prepared, and after how many executions. The server keeps a plan of each in every session.
 */
const MAX_NAMED = 50
const EXECUTIONS_BEFORE_NAMING = 5

/** How many statements without a name are counted. */
const MAX_COUNTED = 500

/** Makes a {@link NameStatement} that names frequent statements, so that the server parses and plans them once. */
export function statementNamer(): NameStatement {
  const names = new Map<string, string>()
  const counts = new LRUCache<string, number>({ max: MAX_COUNTED })
  return text => {
    const known = names.get(text)
    if (known !== undefined || names.size === MAX_NAMED) return known
    const count = (counts.get(text) ?? 0) + 1
    counts.set(text, count)
    if (count < EXECUTIONS_BEFORE_NAMING) return undefined
    const name = `statement_${names.size}`
    names.set(text, name)
    counts.delete(text)
    return name
  }
}

class ConnectionDriver implements Driver {
  readonly #source: Acquirable
  readonly #nameStatement: NameStatement
  readonly #request: ConnectionRequest | undefined

  constructor(source: Acquirable, nameStatement: NameStatement, request: ConnectionRequest | undefined) {
    this.#source = source
    this.#nameStatement = nameStatement
    this.#request = request
  }

  async init() {}

  async acquireConnection() {
    return new KyselyConnection(await this.#source.acquire(this.#request), this.#nameStatement)
  }

  async beginTransaction(connection: KyselyConnection) {
    const { beginText = 'begin' } = this.#source
    await connection.executeQuery(
      CompiledQuery.raw(this.#request?.hasNoDeadline ? BEGIN_UNLIMITED : beginText),
    )
  }

  async commitTransaction(connection: KyselyConnection) {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: KyselyConnection) {
    // If it fails, the connection is closed, which ends the transaction too. The original error is the relevant one.
    await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
  }

  async releaseConnection(connection: KyselyConnection) {
    await connection.release()
  }

  // Several dialects share the sessions: the source closes them.
  async destroy() {}
}

/** Runs compiled statements on a session. */
export class KyselyConnection implements DatabaseConnection {
  readonly #session: Connection
  readonly #nameStatement: NameStatement

  constructor(session: Connection, nameStatement: NameStatement) {
    this.#session = session
    this.#nameStatement = nameStatement
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    // A text without parameters may contain several statements.
    const name = parameters.length === 0 ? undefined : this.#nameStatement(sql)
    const { rows, affected } = await this.#session.query(sql, parameters, name)
    return { rows: rows as R[], numAffectedRows: BigInt(affected) }
  }

  // biome-ignore lint/correctness/useYield: streaming is part of the interface, and nothing here streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('this dialect does not stream')
  }

  async release() {
    await this.#session.release()
  }
}
