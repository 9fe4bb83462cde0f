import { DEFAULT_CONNECTIONS, shares } from '#src/runtime/connection-shares.ts'
import { ConnectionClasses, WRITE } from './connection-classes.ts'
import type { ConnectionSource } from './dialect.ts'
import { PostgresConnection } from './postgres-connection.ts'
import { DATABASE_LIMITS, type DatabaseLimits } from './postgres-limits.ts'
import { listen } from './postgres-listener.ts'
import { Pool } from './postgres-pool.ts'
import { DatabaseUnavailable } from './unavailable.ts'

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
export function postgresConnections(
  url: string,
  onLostConnection: (error: Error) => void,
  {
    listenUrl = url,
    prepares = true,
    connections = DEFAULT_CONNECTIONS,
    limits: given = {},
  }: PostgresOptions = {},
): ConnectionSource {
  const limits = { ...DATABASE_LIMITS, ...given }
  const lanes = new ConnectionClasses(shares(connections), connections, limits.waitMs)
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
      const session = new PostgresConnection(client, claim, { limits, prepares })
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
