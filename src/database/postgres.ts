import { connectionShares, DEFAULT_CONNECTIONS } from '#src/runtime/connection-shares.ts'
import type { Millis } from '#src/runtime/units.ts'
import { ConnectionClasses, WRITE_REQUEST } from './connection-classes.ts'
import type { ConnectionSource } from './dialect.ts'
import { PostgresConnection } from './postgres-connection.ts'
import { DATABASE_LIMITS, type DatabaseLimits } from './postgres-limits.ts'
import { listen } from './postgres-listener.ts'
import { Pool } from './postgres-pool.ts'
import { DatabaseUnavailable } from './unavailable.ts'

export interface PostgresOptions {
  /** The URL for listening connections, which must bypass a pooler. */
  listenUrl?: string | undefined
  /** Whether to use named prepared statements, which a pooler must support. */
  prepares?: boolean
  /** The maximum of connections, without those that listen. */
  connections?: number
  limits?: Partial<DatabaseLimits>
}

/**
 * Connections to a PostgreSQL server. Connects on first use and reconnects by itself. Settings apply to transactions
 * only, so that a pooler may reuse a connection after each transaction.
 *
 * @param onLostConnection receives the error of a connection that broke or timed out
 */
export function postgresConnections(
  url: string,
  onLostConnection: (error: Error) => void,
  {
    listenUrl = url,
    prepares = true,
    connections = DEFAULT_CONNECTIONS,
    limits: overrides = {},
  }: PostgresOptions = {},
): ConnectionSource {
  const limits = { ...DATABASE_LIMITS, ...overrides }
  const classes = new ConnectionClasses(connectionShares(connections), connections, limits.waitMs)
  const lostListeners = new Set<(error: Error) => void>([onLostConnection])
  const onLost = (error: Error) => {
    for (const listener of lostListeners) listener(error)
  }
  const pool = new Pool(url, limits.connectMs, onLost)
  const beginReadOnly = `${beginText('begin isolation level read committed read only', limits, limits.statementMs.list)}; ${ONE_CORE}`

  return {
    beginText: beginText('begin isolation level read committed', limits, limits.statementMs.write),
    async acquire(request = WRITE_REQUEST) {
      const releaseSlot = classes.takeFree(request) ?? (await classes.take(request))
      const client =
        pool.takeIdle() ??
        (await pool.open().catch(error => {
          releaseSlot()
          // The error concerns the connection: no statement caused it.
          throw new DatabaseUnavailable(error)
        }))
      const session = new PostgresConnection(client, request, { limits, prepares })
      const { isReadOnly = false } = request
      // Pipelined before the first statement.
      if (isReadOnly) session.controlTransaction(beginReadOnly)
      return {
        query: (text, parameters, name) => session.query(text, parameters, name),
        async release() {
          const give = () => {
            pool.give(client, session.isReusable)
            releaseSlot()
          }
          if (!isReadOnly && !session.hasCancels) return give()
          const end = async () => {
            await session.waitForCancels()
            if (isReadOnly) await session.controlTransaction('commit')
            give()
          }
          // The end of a read-only transaction is not awaited.
          if (isReadOnly) void end()
          else await end()
        },
      }
    },
    listen: (channel, events) => listen(listenUrl, channel, events, limits),
    onLost(listener) {
      lostListeners.add(listener)
      return () => lostListeners.delete(listener)
    },
    close: () => pool.end(),
  }
}

/** Limits a list to one core. Compiling its plan (JIT) would cost more than it saves. */
const ONE_CORE = 'set local max_parallel_workers_per_gather = 0; set local jit = off'

/** Begins a transaction with timeouts, as one simple query. Zero means no timeout in PostgreSQL. */
const beginText = (begin: string, { lockMs, idleMs }: DatabaseLimits, statementMs: Millis) =>
  `${begin}; set local statement_timeout = ${statementMs}; set local lock_timeout = ${lockMs}; ` +
  `set local idle_in_transaction_session_timeout = ${idleMs}`
