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
import type { Claim } from './connection-classes.ts'

/** The answer to one statement. `affected` counts the rows that an insert, update or delete touched. */
export interface StatementResult {
  rows: Record<string, unknown>[]
  affected: number
}

/** One PostgreSQL session, held by one caller at a time. */
export interface Connection {
  /** @param name under which the server keeps the statement prepared, where it can */
  query(sql: string, parameters: readonly unknown[], name?: string): Promise<StatementResult>
  release(): Promise<void>
}

/** What a connection that listens tells. */
export interface NotificationEvents {
  /** A message on the channel. */
  message(payload: string): void
  /** The connection is gone, and whatever is sent from now on is missed. Not called after `close`. */
  lost(error: Error): void
}

/** A connection that listens. */
export interface NotificationListener {
  /**
   * Goes to the database and back. Every message whose transaction was committed before the call has been told of
   * when it returns.
   *
   * @throws when there is no answer in time; the connection is lost then
   */
  roundTrip(): Promise<void>
  close(): Promise<void>
}

/** Where sessions come from: a database in this process, or one that another process holds. */
export interface ConnectionSource {
  /** What begins a transaction: `begin`, unless told otherwise. */
  readonly beginText?: string
  /**
   * Takes a session. That of a list is for reading.
   *
   * @param claim what it is for: to write, unless told otherwise
   * @throws {DatabaseUnavailable} when there is none in time
   */
  acquire(claim?: Claim): Promise<Connection>
  /** Has something done whenever a session is lost. The returned function ends that. */
  onLost?(act: (error: Error) => void): () => void
  /** Listens to what is sent by NOTIFY on a channel, by whomever. */
  listen(channel: string, events: NotificationEvents): Promise<NotificationListener>
  close(): Promise<void>
}

/** What a dialect needs of a {@link ConnectionSource}. */
type Acquirable = Pick<ConnectionSource, 'acquire' | 'beginText'>

/** Gives a name to the statements that deserve one. */
export type NameOf = (text: string) => string | undefined

/**
 * A Kysely dialect over a {@link ConnectionSource}: PostgreSQL's SQL, whoever runs it. Dialects over the same sessions
 * share what names their statements, since a session knows each name once.
 */
export class ConnectionDialect implements Dialect {
  readonly #source: Acquirable
  readonly #nameOf: NameOf
  readonly #claim: Claim | undefined

  constructor(source: Acquirable, nameOf: NameOf, claim?: Claim) {
    this.#source = source
    this.#nameOf = nameOf
    this.#claim = claim
  }

  createDriver(): Driver {
    return new ConnectionDriver(this.#source, this.#nameOf, this.#claim)
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

/** How many statements get a name, and after how many times. The server keeps a plan of each in every session. */
const NAMED = 50
const TIMES = 5

/** How many texts are counted that have no name. */
const COUNTED = 500

/** Gives names to the statements that come again and again, so that the server reads and plans them once. */
export function statementNames(): NameOf {
  const names = new Map<string, string>()
  const counts = new LRUCache<string, number>({ max: COUNTED })
  return text => {
    const known = names.get(text)
    if (known !== undefined || names.size === NAMED) return known
    const count = (counts.get(text) ?? 0) + 1
    counts.set(text, count)
    if (count < TIMES) return undefined
    const name = `statement_${names.size}`
    names.set(text, name)
    counts.delete(text)
    return name
  }
}

class ConnectionDriver implements Driver {
  readonly #source: Acquirable
  readonly #nameOf: NameOf
  readonly #claim: Claim | undefined

  constructor(source: Acquirable, nameOf: NameOf, claim: Claim | undefined) {
    this.#source = source
    this.#nameOf = nameOf
    this.#claim = claim
  }

  async init() {}

  async acquireConnection() {
    return new KyselyConnection(await this.#source.acquire(this.#claim), this.#nameOf)
  }

  async beginTransaction(connection: KyselyConnection) {
    const { beginText = 'begin' } = this.#source
    await connection.executeQuery(CompiledQuery.raw(this.#claim?.isPatient ? 'begin' : beginText))
  }

  async commitTransaction(connection: KyselyConnection) {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: KyselyConnection) {
    // Where it fails, the connection is closed, which ends the transaction as well: the first error is what counts.
    await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
  }

  async releaseConnection(connection: KyselyConnection) {
    await connection.release()
  }

  // Several dialects share the sessions: they are closed where they come from.
  async destroy() {}
}

class KyselyConnection implements DatabaseConnection {
  readonly #session: Connection
  readonly #nameOf: NameOf

  constructor(session: Connection, nameOf: NameOf) {
    this.#session = session
    this.#nameOf = nameOf
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    // Without parameters there may be several statements in one text.
    const name = parameters.length === 0 ? undefined : this.#nameOf(sql)
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
