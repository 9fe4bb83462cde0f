import type pg from 'pg'
import { startDeadline } from '#src/runtime/deadline.ts'
import type { Millis } from '#src/runtime/units.ts'
import { cancelStatement } from './cancel.ts'
import type { ConnectionRequest } from './connection-classes.ts'
import { bytesRead } from './postgres-client.ts'
import type { DatabaseLimits } from './postgres-limits.ts'
import { DatabaseBusy, DatabaseUnavailable, leavesSessionUsable, toUnavailable } from './unavailable.ts'

/** How much later than the server this process enforces the same timeout. */
const SERVER_FIRST_MS: Millis = 500

/** A connection held by one caller. */
export class PostgresConnection {
  readonly #client: pg.Client
  readonly #request: ConnectionRequest
  readonly #options: { limits: DatabaseLimits; prepares: boolean }
  readonly #statementMs: Millis
  /** The error after which nothing can be sent. */
  #broken: DatabaseUnavailable | undefined
  /** Whether a cancel request may still be in flight and would cancel the next statement. */
  #mayBeCancelled = false
  /** Cancel requests that were sent. */
  readonly #cancels: Promise<unknown>[] = []

  constructor(
    client: pg.Client,
    request: ConnectionRequest,
    options: { limits: DatabaseLimits; prepares: boolean },
  ) {
    this.#client = client
    this.#request = request
    this.#options = options
    const { statementMs } = options.limits
    this.#statementMs = request.hasNoDeadline
      ? Number.POSITIVE_INFINITY
      : statementMs[request.connectionClass] + (request.connectionClass === 'list' ? SERVER_FIRST_MS : 0)
  }

  /** Begins or ends the session's transaction. An error shows at the next statement, or in {@link isReusable}. */
  async controlTransaction(text: string): Promise<void> {
    await this.#run({ text }, undefined).catch(() => {})
  }

  /** @throws {DatabaseUnavailable} immediately when the session is broken, where the statement would wait forever */
  async query(text: string, parameters: readonly unknown[], name?: string) {
    const { signal } = this.#request
    const { rows, rowCount } = await this.#run(
      { text, values: parameters as unknown[], ...(this.#options.prepares && name && { name }) },
      signal,
    )
    return { rows: rows as Record<string, unknown>[], affected: rowCount ?? 0 }
  }

  /** Whether cancel requests were sent. */
  get hasCancels(): boolean {
    return this.#cancels.length > 0
  }

  /** Waits until no cancel request is in flight. */
  async waitForCancels(): Promise<void> {
    await Promise.allSettled(this.#cancels)
  }

  /** Whether the connection can be reused by another caller. */
  get isReusable(): boolean {
    return (
      this.#broken === undefined &&
      !this.#mayBeCancelled &&
      this.#client.getTransactionStatus() === TRANSACTION_IDLE
    )
  }

  async #run(query: pg.QueryConfig, signal: ConnectionRequest['signal']): Promise<pg.QueryResult> {
    if (this.#broken) throw this.#broken
    try {
      return await this.#withDeadline(query, signal)
    } catch (error) {
      if (error instanceof Cancelled) throw error.reason
      // The stack of the driver ends at the socket; this one leads to the caller.
      if (error instanceof Error) Error.captureStackTrace(error)
      const cause = toUnavailable(error)
      if (cause instanceof DatabaseUnavailable && !leavesSessionUsable(error)) this.#broken ??= cause
      throw cause
    }
  }

  /** Runs a statement, and cancels it at its deadline or when the signal aborts. */
  #withDeadline(query: pg.QueryConfig, signalOf: ConnectionRequest['signal']): Promise<pg.QueryResult> {
    return new Promise((resolve, reject) => {
      let reason: DatabaseUnavailable | undefined
      let stopGrace = () => {}
      const cancel = (error: DatabaseUnavailable) => {
        if (reason !== undefined) return
        reason = error
        const cancelTimeout = new AbortController()
        const sent = cancelStatement(this.#client, cancelTimeout.signal)
        this.#cancels.push(sent)
        sent.catch(() => {
          this.#mayBeCancelled = true
        })
        stopGrace = startDeadline(this.#options.limits.cancelMs, () => {
          cancelTimeout.abort()
          finish()
          this.#broken ??= error
          this.#client.connection.stream.destroy(error)
          reject(error)
        })
      }
      const onAbort = () => cancel(callerDisconnected())
      const stopDeadline = startDeadline(
        this.#statementMs,
        () => cancel(new DatabaseUnavailable(new Error(`no response within ${this.#statementMs} ms`))),
        () => bytesRead(this.#client),
      )
      let signal: AbortSignal | undefined
      const stopListening = startDeadline(
        signalOf === undefined ? Number.POSITIVE_INFINITY : SIGNAL_AFTER_MS,
        () => {
          signal = signalOf?.()
          if (signal?.aborted) onAbort()
          else signal?.addEventListener('abort', onAbort)
        },
      )
      const finish = () => {
        stopListening()
        stopDeadline()
        stopGrace()
        signal?.removeEventListener('abort', onAbort)
      }
      this.#client.query(query, (error: Error | null, result) => {
        finish()
        const isCancelled = error !== null && (error as { code?: unknown }).code === QUERY_CANCELED
        // The result was faster than the cancel request, which may cancel the next statement.
        if (reason !== undefined && !isCancelled) this.#mayBeCancelled = true
        if (error === null) resolve(result)
        else reject(isCancelled && reason !== undefined ? new Cancelled(reason) : error)
      })
    })
  }
}

/** The server cancelled the statement by request: its session stays usable. */
class Cancelled extends Error {
  readonly reason: DatabaseUnavailable

  constructor(reason: DatabaseUnavailable) {
    super(reason.message)
    this.reason = reason
  }
}

const callerDisconnected = () => new DatabaseBusy('the caller disconnected')

/** The transaction status of a session outside a transaction (ReadyForQuery). */
const TRANSACTION_IDLE = 'I'

/** How long a statement runs before the signal for its caller's disconnect is created. */
const SIGNAL_AFTER_MS: Millis = 20

const QUERY_CANCELED = '57014'
