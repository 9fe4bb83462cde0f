import type pg from 'pg'
import { deadline } from '#src/runtime/deadline.ts'
import { cancelStatement } from './cancel.ts'
import type { Claim } from './connection-classes.ts'
import { bytesRead } from './postgres-client.ts'
import type { DatabaseLimits } from './postgres-limits.ts'
import { asUnavailable, DatabaseBusy, DatabaseUnavailable, isSurvived } from './unavailable.ts'

/** How much later this process enforces a limit that the server enforces too. */
const SERVER_FIRST_MS = 500

/** One connection in the hands of one caller. */
export class PostgresConnection {
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
      : statementMs[claim.connectionClass] + (claim.connectionClass === 'list' ? SERVER_FIRST_MS : 0)
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

/** What the server says of a session that is in no transaction. */
const TRANSACTION_IDLE = 'I'

/** How long a statement runs, in milliseconds, until it is asked whether anybody still waits for it. */
const LONG_MS = 20

const QUERY_CANCELED = '57014'
