import { type PGlite, types } from '@electric-sql/pglite'
import { ConnectionClasses, WRITE } from './connection-classes.ts'
import type {
  Connection,
  ConnectionSource,
  NotificationEvents,
  NotificationListener,
  StatementResult,
} from './dialect.ts'
import { describeError, restoreError, toText } from './embedded-socket.ts'

/** What happens around the end of a database in this process. */
interface Closing {
  /** Before the last session has ended. */
  before(): void
  /** When the database is closed. */
  after(): void
}

/**
 * PGlite is one session: whoever acquires it has it alone until release. The most urgent lane is next, in the order of
 * asking within it, and what waits too long is refused; a statement that runs cannot be cancelled.
 */
export class PgliteConnections implements ConnectionSource {
  readonly #database: PGlite
  readonly #closing: Closing
  readonly #lanes = new ConnectionClasses({ identity: 1, login: 1, write: 1, list: 1 }, 1)
  #closed: Promise<void> | undefined

  /** @param database opened with {@link PGLITE_OPTIONS} */
  constructor(database: PGlite, closing: Closing = { before() {}, after() {} }) {
    this.#database = database
    this.#closing = closing
  }

  async acquire(claim = WRITE): Promise<Connection> {
    const endTurn = await this.#lanes.take(claim)
    if (this.#closed) {
      endTurn()
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
        endTurn()
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
    const inTurn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      const endTurn = await this.#lanes.take({ connectionClass: 'identity', isPatient: true })
      try {
        return await work()
      } finally {
        endTurn()
      }
    }
    const unlisten = await inTurn(() => this.#database.listen(channel, message))
    return {
      roundTrip: async () => {
        await inTurn(async () => this.#closed ?? this.#database.query('select 1'))
      },
      close: () => inTurn(async () => this.#closed ?? unlisten()),
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.before()
    // After all that waits already.
    const endTurn = await this.#lanes.take({ connectionClass: 'list', isPatient: true })
    try {
      await this.#database.close()
    } finally {
      this.#closing.after()
      endTurn()
    }
  }
}

const asText = (text: string) => text

// PGlite makes the parsers of arrays from these.
const parsers = {
  [types.INT8]: Number,
  [types.DATE]: asText,
  [types.TIMESTAMP]: asText,
  [types.TIMESTAMPTZ]: asText,
}

// Parameters are text already. PGlite would refuse some that PostgreSQL reads.
const serializers = { [types.BOOL]: asText, [types.BYTEA]: asText }

/** Values in the forms in which node-postgres is made to give and take them. */
export const PGLITE_OPTIONS = { parsers, serializers }

async function runStatement(
  database: PGlite,
  sql: string,
  parameters: readonly unknown[],
): Promise<StatementResult> {
  try {
    // Without parameters node-postgres too uses the simple protocol, which takes several statements.
    const result = parameters.length
      ? await database.query<Record<string, unknown>>(sql, parameters.map(toText))
      : (await database.exec(sql)).at(-1)
    return { rows: result?.rows ?? [], affected: result?.affectedRows ?? 0 }
  } catch (error) {
    throw restoreError(describeError(error))
  }
}
