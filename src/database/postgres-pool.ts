import pg from 'pg'
import type { Millis } from '#src/runtime/units.ts'
import { closeClient, connector } from './postgres-client.ts'

const { builtins } = pg.types

/** The same value formats as the embedded database: numbers for int8, text for dates and timestamps. */
const types: pg.CustomTypesConfig = {
  // biome-ignore lint/suspicious/noExplicitAny: node-postgres declares its parsers so
  getTypeParser(oid: number, format?: any): any {
    if (oid === builtins.INT8) return Number
    if (oid === builtins.TIMESTAMP || oid === builtins.TIMESTAMPTZ || oid === builtins.DATE) return String
    return pg.types.getTypeParser(oid, format)
  },
}

/** How long an idle connection is kept. */
const KEEP_MS: Millis = 10_000

/** A pool of idle connections. Its callers bound how many exist. */
export class Pool {
  readonly #connect: ReturnType<typeof connector>
  readonly #connectMs: Millis
  readonly #onLost: (error: Error) => void
  readonly #idle: { client: pg.Client; stop: () => void }[] = []
  readonly #taken = new Set<pg.Client>()
  #whenEmpty: (() => void) | undefined
  #isEnding = false

  constructor(url: string, connectMs: Millis, onLost: (error: Error) => void) {
    this.#connect = connector(
      url,
      { types, application_name: 'animethemes-auth' },
      { prepare: client => this.#watch(client), discard: client => this.give(client, false) },
    )
    this.#connectMs = connectMs
    this.#onLost = onLost
  }

  /** Takes the most recently used connection; returns null when none is idle. */
  takeIdle(): pg.Client | null {
    const last = this.#idle.pop()
    if (last === undefined) return null
    last.stop()
    this.#taken.add(last.client)
    return last.client
  }

  /** Opens a connection, and takes it. */
  async open(): Promise<pg.Client> {
    if (this.#isEnding) throw new Error('The connections are closed.')
    return this.#connect(this.#connectMs)
  }

  /** Takes a new connection, and reports its loss. */
  #watch(client: pg.Client) {
    // An error precedes the end of the connection, which is another error.
    client.once('error', error => {
      client.on('error', () => {})
      this.#drop(client)
      this.#onLost(error)
    })
    this.#taken.add(client)
  }

  /** Returns a connection to the pool, or closes it. */
  give(client: pg.Client, isReusable: boolean): void {
    this.#taken.delete(client)
    if (isReusable && !this.#isEnding) {
      const timer = setTimeout(() => {
        this.#drop(client)
        void closeClient(client)
      }, KEEP_MS)
      this.#idle.push({ client, stop: () => clearTimeout(timer) })
    } else if (isReusable) {
      void closeClient(client)
    } else {
      client.removeAllListeners('error').on('error', () => {})
      client.connection.stream.destroy()
    }
    if (this.#taken.size === 0) this.#whenEmpty?.()
  }

  /** Removes an idle connection. */
  #drop(client: pg.Client) {
    const index = this.#idle.findIndex(idle => idle.client === client)
    for (const { stop } of index === -1 ? [] : this.#idle.splice(index, 1)) stop()
  }

  /** Closes all connections; those in use are closed when they are returned. */
  async end(): Promise<void> {
    this.#isEnding = true
    const idle = this.#idle.splice(0)
    for (const { stop } of idle) stop()
    await Promise.all(idle.map(({ client }) => closeClient(client)))
    if (this.#taken.size > 0) {
      await new Promise<void>(resolve => {
        this.#whenEmpty = resolve
      })
    }
  }
}
