import pg from 'pg'
import { DEFAULT_CONNECTIONS, type Lane, shares } from '#src/runtime/connection-shares.ts'
import { deadline } from '#src/runtime/deadline.ts'
import { cancelStatement } from './cancel.ts'
import type { NotificationEvents, NotificationListener, SessionSource } from './dialect.ts'
import { type Claim, Lanes, WRITE } from './lanes.ts'
import { asUnavailable, DatabaseBusy, DatabaseUnavailable, isSurvived } from './unavailable.ts'

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

/** How long things may take, in milliseconds. */
export interface DatabaseLimits {
  /** To open a connection. */
  connectMs: number
  /** A statement of each lane. The server enforces it in transactions and for lists, this process in any case. */
  statementMs: Readonly<Record<Lane, number>>
  /** A statement in a transaction that waits for a lock. */
  lockMs: number
  /** A transaction between two statements. */
  idleMs: number
  /** A statement that was cancelled, until its connection is given up. */
  cancelMs: number
  /** A connection that listens, until it has answered. */
  listenerMs: number
  /** To wait for a connection, where that is not the default. */
  waitMs: Partial<Record<Lane, number>>
}

export const DATABASE_LIMITS: DatabaseLimits = {
  connectMs: 3_000,
  statementMs: { identity: 3_000, login: 5_000, write: 10_000, list: 5_000 },
  lockMs: 5_000,
  idleMs: 15_000,
  cancelMs: 1_000,
  listenerMs: 2_000,
  waitMs: {},
}

/** How long a connection is kept that nobody uses. */
const KEEP_MS = 10_000

/** How much later this process enforces a limit that the server enforces too. */
const SERVER_FIRST_MS = 500

export interface PostgresOptions {
  /** The same database for connections that listen, past a pooler that gives them to others. */
  listenUrl?: string | undefined
  /** Whether statements are prepared under their names, which a pooler between must know how to keep. */
  prepares?: boolean
  /** The most connections at once, those that listen not counted. */
  connections?: number
  limits?: Partial<DatabaseLimits>
}

/**
 * Sessions of a PostgreSQL server. It connects on first use, and reconnects by itself. Nothing is set for a session,
 * only for transactions, so that a pooler may give connections to others after each of them.
 *
 * @param onLostConnection is called with the error of a connection that broke, or that did not answer in time
 */
export function postgresSource(
  url: string,
  onLostConnection: (error: Error) => void,
  {
    listenUrl = url,
    prepares = true,
    connections = DEFAULT_CONNECTIONS,
    limits: given = {},
  }: PostgresOptions = {},
): SessionSource {
  const limits = { ...DATABASE_LIMITS, ...given }
  const lanes = new Lanes(shares(connections), connections, limits.waitMs)
  const losses = new Set<(error: Error) => void>([onLostConnection])
  const lost = (error: Error) => {
    for (const act of losses) act(error)
  }
  const pool = new Pool(url, limits.connectMs, lost)
  const beginReading = `${beginText('begin read only', limits, limits.statementMs.list)}; ${ONE_CORE}`

  return {
    beginText: beginText('begin', limits, limits.statementMs.write),
    async acquire(claim = WRITE) {
      const giveBack = await lanes.take(claim)
      const client = await pool.take().catch(error => {
        giveBack()
        // Whatever the server says of a connection, no statement was at fault.
        throw new DatabaseUnavailable(error)
      })
      const session = new PostgresSession(client, claim, { limits, prepares })
      const { isReadOnly = false } = claim
      // Sent ahead of the first statement, and answered with it.
      if (isReadOnly) session.frame(beginReading)
      return {
        query: (text, parameters, name) => session.query(text, parameters, name),
        async release() {
          const end = async () => {
            await session.settle()
            if (isReadOnly) await session.frame('commit')
            pool.give(client, session.isReusable)
            giveBack()
          }
          // Nobody has to wait for the end of a transaction that has changed nothing.
          if (isReadOnly) void end()
          else await end()
        },
      }
    },
    listen: (channel, events) => listen(listenUrl, channel, events, limits),
    onLost(act) {
      losses.add(act)
      return () => losses.delete(act)
    },
    close: () => pool.end(),
  }
}

/** Has a list occupy one core at most. Compiling its plan would cost more than it saves. */
const ONE_CORE = 'set local max_parallel_workers_per_gather = 0; set local jit = off'

/** The text that begins a transaction and its limits, as one message to the server. Zero is no limit there. */
const beginText = (begin: string, { lockMs, idleMs }: DatabaseLimits, statementMs: number) =>
  `${begin}; set local statement_timeout = ${statementMs}; set local lock_timeout = ${lockMs}; ` +
  `set local idle_in_transaction_session_timeout = ${idleMs}`

/** One connection in the hands of one caller. */
class PostgresSession {
  readonly #client: pg.Client
  readonly #claim: Claim
  readonly #options: { limits: DatabaseLimits; prepares: boolean }
  readonly #statementMs: number
  /** Why nothing more can be sent. */
  #broken: DatabaseUnavailable | undefined
  /** Whether a cancel request may still be on its way, which would end the next statement. */
  #isSpoiled = false
  /** The cancel requests that were sent. */
  readonly #cancels: Promise<unknown>[] = []

  constructor(client: pg.Client, claim: Claim, options: { limits: DatabaseLimits; prepares: boolean }) {
    this.#client = client
    this.#claim = claim
    this.#options = options
    const { statementMs } = options.limits
    this.#statementMs = claim.isPatient
      ? Number.POSITIVE_INFINITY
      : statementMs[claim.lane] + (claim.lane === 'list' ? SERVER_FIRST_MS : 0)
  }

  /** Begins or ends the session's transaction. What goes wrong shows at the next statement, or in {@link isReusable}. */
  async frame(text: string): Promise<void> {
    await this.#run({ text }, undefined).catch(() => {})
  }

  /** @throws {DatabaseUnavailable} at once when the session is broken: what hangs would have it wait for ever */
  async query(text: string, parameters: readonly unknown[], name?: string) {
    const { signal } = this.#claim
    const { rows, rowCount } = await this.#run(
      { text, values: [...parameters], ...(this.#options.prepares && name && { name }) },
      signal,
    )
    return { rows: rows as Record<string, unknown>[], affected: rowCount ?? 0 }
  }

  /** Returns once no cancel request is on its way any longer. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#cancels)
  }

  /** Whether another caller can have the connection. */
  get isReusable(): boolean {
    return (
      this.#broken === undefined &&
      !this.#isSpoiled &&
      this.#client.getTransactionStatus() === TRANSACTION_IDLE
    )
  }

  async #run(query: pg.QueryConfig, signal: Claim['signal']): Promise<pg.QueryResult> {
    if (this.#broken) throw this.#broken
    try {
      return await this.#settled(this.#client.query(query), signal)
    } catch (error) {
      if (error instanceof Cancelled) throw error.reason
      const cause = asUnavailable(error)
      if (cause instanceof DatabaseUnavailable && !isSurvived(error)) this.#broken ??= cause
      throw cause
    }
  }

  /** The answer to a statement, which is cancelled at its deadline, or when the signal aborts. */
  #settled<T>(answer: Promise<T>, signalOf: Claim['signal']): Promise<T> {
    return new Promise((resolve, reject) => {
      let reason: DatabaseUnavailable | undefined
      let stopGrace = () => {}
      const giveUp = (why: DatabaseUnavailable) => {
        if (reason !== undefined) return
        reason = why
        const tooLong = new AbortController()
        const cancel = cancelStatement(this.#client, tooLong.signal)
        this.#cancels.push(cancel)
        cancel.catch(() => {
          this.#isSpoiled = true
        })
        stopGrace = deadline(this.#options.limits.cancelMs, () => {
          tooLong.abort()
          finish()
          this.#broken ??= why
          this.#client.connection.stream.destroy(why)
          reject(why)
        })
      }
      const onAbort = () => giveUp(abandoned())
      const stopDeadline = deadline(
        this.#statementMs,
        () => giveUp(new DatabaseUnavailable(new Error(`no answer within ${this.#statementMs} ms`))),
        () => bytesRead(this.#client),
      )
      let signal: AbortSignal | undefined
      const stopListening = deadline(signalOf === undefined ? Number.POSITIVE_INFINITY : LONG_MS, () => {
        signal = signalOf?.()
        if (signal?.aborted) onAbort()
        else signal?.addEventListener('abort', onAbort)
      })
      const finish = () => {
        stopListening()
        stopDeadline()
        stopGrace()
        signal?.removeEventListener('abort', onAbort)
      }
      answer.then(
        result => {
          finish()
          // The answer was faster than the cancel request, which may end whatever comes next.
          if (reason !== undefined) this.#isSpoiled = true
          resolve(result)
        },
        error => {
          finish()
          const isCancelled = (error as { code?: unknown }).code === QUERY_CANCELED
          if (reason !== undefined && !isCancelled) this.#isSpoiled = true
          reject(isCancelled && reason !== undefined ? new Cancelled(reason) : error)
        },
      )
    })
  }
}

/** A statement that the server has cancelled for us: its session goes on. */
class Cancelled extends Error {
  readonly reason: DatabaseUnavailable

  constructor(reason: DatabaseUnavailable) {
    super(reason.message)
    this.reason = reason
  }
}

const abandoned = () => new DatabaseBusy('nobody waits for the answer any longer')

const bytesRead = ({ connection }: pg.Client) => (connection.stream as { bytesRead?: number }).bytesRead ?? 0

/** What the server says of a session that is in no transaction. */
const TRANSACTION_IDLE = 'I'

/** How long a statement runs, in milliseconds, until it is asked whether anybody still waits for it. */
const LONG_MS = 20

const QUERY_CANCELED = '57014'

/** Connections that wait for their next use. How many there are is decided by those who take them. */
class Pool {
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

/** Connects, unless that takes too long. */
async function connectWithin(client: pg.Client, ms: number): Promise<void> {
  const { connection } = client
  const stop = deadline(
    ms,
    () => connection.stream.destroy(new Error(`no connection within ${ms} ms`)),
    () => bytesRead(client),
  )
  try {
    await client.connect()
  } finally {
    stop()
  }
}

const END_MS = 1_000

/** Says goodbye, and hangs up if that is not heard. */
async function end(client: pg.Client): Promise<void> {
  const stop = deadline(END_MS, () => client.connection.stream.destroy())
  await client.end().catch(() => {})
  stop()
}

async function listen(
  url: string,
  channel: string,
  { message, lost }: NotificationEvents,
  { connectMs, listenerMs }: DatabaseLimits,
): Promise<NotificationListener> {
  const client = new pg.Client({
    connectionString: url,
    pipeline: true,
    application_name: 'animethemes-auth listener',
  })
  const { connection } = client
  let isOver = false
  const close = async () => {
    if (isOver) return
    isOver = true
    await end(client)
  }
  const fail = (error: Error) => {
    if (isOver) return
    isOver = true
    connection.stream.destroy()
    lost(error)
  }
  client.on('notification', ({ payload = '' }) => message(payload))
  client.on('error', fail)
  client.on('end', () => fail(new Error('The connection was ended.')))
  /** Runs a statement, and loses the connection if that takes too long. */
  const run = async (text: string) => {
    const stop = deadline(
      listenerMs,
      () => connection.stream.destroy(new Error(`no answer within ${listenerMs} ms`)),
      () => bytesRead(client),
    )
    try {
      await client.query(text)
    } finally {
      stop()
    }
  }
  try {
    await connectWithin(client, connectMs)
    await run(`listen ${client.escapeIdentifier(channel)}`)
  } catch (error) {
    isOver = true
    connection.stream.destroy()
    throw new DatabaseUnavailable(error)
  }
  return {
    async roundTrip() {
      try {
        await run('select 1')
      } catch (error) {
        fail(error as Error)
        throw new DatabaseUnavailable(error)
      }
    },
    close,
  }
}
