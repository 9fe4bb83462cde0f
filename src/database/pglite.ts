import { type PGlite, types } from '@electric-sql/pglite'
import { ConnectionClasses, WRITE_REQUEST } from './connection-classes.ts'
import type {
  Connection,
  ConnectionSource,
  NotificationEvents,
  NotificationListener,
  StatementResult,
} from './dialect.ts'
import { describeError, restoreError, toText } from './embedded-socket.ts'

/** The part of PGlite that runs statements. */
export type EmbeddedDatabase = Pick<PGlite, 'query' | 'exec' | 'listen' | 'isInTransaction' | 'close'>

/** Hooks around the closing of a database in this process. */
interface CloseHooks {
  /** Runs before the last session has ended. */
  before(): void
  /** Runs once the database is closed. */
  after(): void
}

/**
 * PGlite has one session, which is exclusive from acquire to release. It goes to the most urgent connection class, in
 * order of arrival within it. Waiting has a timeout; a running statement cannot be cancelled.
 */
export class PgliteConnections implements ConnectionSource {
  readonly #database: EmbeddedDatabase
  readonly #closing: CloseHooks
  readonly #classes = new ConnectionClasses({ identity: 1, login: 1, write: 1, list: 1 }, 1)
  #closed: Promise<void> | undefined

  /** @param database opened with {@link PGLITE_OPTIONS} */
  constructor(database: EmbeddedDatabase, closing: CloseHooks = { before() {}, after() {} }) {
    this.#database = database
    this.#closing = closing
  }

  async acquire(request = WRITE_REQUEST): Promise<Connection> {
    const releaseSlot = await this.#classes.take(request)
    if (this.#closed) {
      releaseSlot()
      throw new Error('The embedded database is closed.')
    }
    const database = this.#database
    let last: Promise<unknown> = Promise.resolve()
    let released: Promise<void> | undefined
    const release = async () => {
      await last
      try {
        if (database.isInTransaction()) await database.exec('rollback')
      } finally {
        releaseSlot()
      }
    }
    return {
      query: async (sql, parameters) => {
        if (released) throw new Error('The session was released.')
        const result = runStatement(database, sql, parameters)
        last = result.catch(() => {})
        return result
      },
      release: () => {
        released ??= release()
        return released
      },
    }
  }

  async listen(channel: string, { message }: NotificationEvents): Promise<NotificationListener> {
    const withSession = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      const releaseSlot = await this.#classes.take({ connectionClass: 'identity', hasNoDeadline: true })
      try {
        return await work()
      } finally {
        releaseSlot()
      }
    }
    const unlisten = await withSession(() => this.#database.listen(channel, message))
    return {
      roundTrip: async () => {
        await withSession(async () => this.#closed ?? this.#database.query('select 1'))
      },
      close: () => withSession(async () => this.#closed ?? unlisten()),
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.before()
    // Queued after all waiting requests.
    const releaseSlot = await this.#classes.take({ connectionClass: 'list', hasNoDeadline: true })
    try {
      await this.#database.close()
    } finally {
      this.#closing.after()
      releaseSlot()
    }
  }
}

const keepText = (text: string) => text

// PGlite derives the parsers of arrays from these.
const parsers = {
  [types.INT8]: Number,
  [types.DATE]: keepText,
  [types.TIMESTAMP]: keepText,
  [types.TIMESTAMPTZ]: keepText,
}

// Parameters are already text. PGlite would reject some forms that PostgreSQL accepts.
const serializers = { [types.BOOL]: keepText, [types.BYTEA]: keepText }

/** The same value formats as node-postgres here. */
export const PGLITE_OPTIONS = { parsers, serializers }

async function runStatement(
  database: EmbeddedDatabase,
  sql: string,
  parameters: readonly unknown[],
): Promise<StatementResult> {
  try {
    // Without parameters node-postgres uses the simple protocol too, which allows several statements.
    const result = parameters.length
      ? await database.query<Record<string, unknown>>(sql, parameters.map(toText))
      : (await database.exec(sql)).at(-1)
    return { rows: result?.rows ?? [], affected: result?.affectedRows ?? 0 }
  } catch (error) {
    throw restoreError(describeError(error))
  }
}
