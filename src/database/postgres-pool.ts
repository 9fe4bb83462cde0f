import pg from 'pg'
import { connectWithin, end } from './postgres-client.ts'

const { builtins } = pg.types

/** Values as the embedded database gives them too: numbers for int8, the database's own text for dates. */
const types: pg.CustomTypesConfig = {
  // biome-ignore lint/suspicious/noExplicitAny: node-postgres declares its parsers so
  getTypeParser(oid: number, format?: any): any {
    if (oid === builtins.INT8) return Number
    if (oid === builtins.TIMESTAMP || oid === builtins.TIMESTAMPTZ || oid === builtins.DATE) return String
    return pg.types.getTypeParser(oid, format)
  },
}

/** How long a connection is kept that nobody uses. */
const KEEP_MS = 10_000

/** Connections that wait for their next use. How many there are is decided by those who take them. */
export class Pool {
  readonly #url: string
  readonly #connectMs: number
  readonly #lost: (error: Error) => void
  readonly #idle: { client: pg.Client; stop: () => void }[] = []
  readonly #taken = new Set<pg.Client>()
  #whenEmpty: (() => void) | undefined
  #isEnding = false

  constructor(url: string, connectMs: number, lost: (error: Error) => void) {
    this.#url = url
    this.#connectMs = connectMs
    this.#lost = lost
  }

  /** The connection that was used last, or a new one. */
  async take(): Promise<pg.Client> {
    if (this.#isEnding) throw new Error('The connections are closed.')
    const last = this.#idle.pop()
    if (last !== undefined) {
      last.stop()
      this.#taken.add(last.client)
      return last.client
    }
    const client = new pg.Client({
      connectionString: this.#url,
      types,
      pipeline: true,
      application_name: 'animethemes-auth',
    })
    // An error comes before the end of the connection, which is another one.
    client.once('error', error => {
      client.on('error', () => {})
      this.#drop(client)
      this.#lost(error)
    })
    this.#taken.add(client)
    try {
      await connectWithin(client, this.#connectMs)
    } catch (error) {
      this.give(client, false)
      throw error
    }
    return client
  }

  /** Takes a connection back, for the next use or to close it. */
  give(client: pg.Client, isReusable: boolean): void {
    this.#taken.delete(client)
    if (isReusable && !this.#isEnding) {
      const timer = setTimeout(() => {
        this.#drop(client)
        void end(client)
      }, KEEP_MS)
      this.#idle.push({ client, stop: () => clearTimeout(timer) })
    } else if (isReusable) {
      void end(client)
    } else {
      client.removeAllListeners('error').on('error', () => {})
      client.connection.stream.destroy()
    }
    if (this.#taken.size === 0) this.#whenEmpty?.()
  }

  /** Forgets a connection that nobody is using. */
  #drop(client: pg.Client) {
    const index = this.#idle.findIndex(idle => idle.client === client)
    for (const { stop } of index === -1 ? [] : this.#idle.splice(index, 1)) stop()
  }

  /** Closes all connections, those that are in use once they are given back. */
  async end(): Promise<void> {
    this.#isEnding = true
    const idle = this.#idle.splice(0)
    for (const { stop } of idle) stop()
    await Promise.all(idle.map(({ client }) => end(client)))
    if (this.#taken.size > 0) {
      await new Promise<void>(resolve => {
        this.#whenEmpty = resolve
      })
    }
  }
}
