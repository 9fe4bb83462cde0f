import pg from 'pg'
import type { NotificationEvents, NotificationListener, SessionSource } from './dialect.ts'
import { asUnavailable, DatabaseUnavailable } from './unavailable.ts'

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

/** How long a request waits for a connection, and for an answer, before it is told to come back later. */
const CONNECT_TIMEOUT_MS = 3_000
const QUERY_TIMEOUT_MS = 15_000

/** How long a connection that listens may take to answer before it counts as lost. */
const LISTENER_TIMEOUT_MS = 2_000

export interface PostgresOptions {
  /** The same database for connections that listen, past a pooler that gives them to others. */
  listenUrl?: string | undefined
  /** Whether statements are prepared under their names, which a pooler between must know how to keep. */
  prepares?: boolean
}

/**
 * Sessions of a PostgreSQL server, from a pool. It connects on first use, and reconnects by itself.
 *
 * @param onLostConnection hears of connections that broke
 */
export function postgresSource(
  url: string,
  onLostConnection: (error: Error) => void,
  { listenUrl = url, prepares = true }: PostgresOptions = {},
): SessionSource {
  const pool = new pg.Pool({
    connectionString: url,
    types,
    max: 10,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'animethemes-auth',
  })
  // The pool listens to idle connections alone: one that breaks in somebody's hands would end the process.
  pool.on('connect', client => client.on('error', onLostConnection))
  pool.on('error', () => {})

  return {
    async acquire() {
      const client = await pool.connect().catch(error => {
        throw new DatabaseUnavailable(error)
      })
      let broken: Error | undefined
      return {
        async query(text, parameters, name) {
          try {
            const { rows, rowCount } = await client.query({
              text,
              values: [...parameters],
              ...(prepares && name && { name }),
            })
            return { rows, affected: rowCount ?? 0 }
          } catch (error) {
            const cause = asUnavailable(error)
            if (cause instanceof DatabaseUnavailable) broken = cause
            throw cause
          }
        },
        async release() {
          client.release(broken)
        },
      }
    },
    listen: (channel, events) => listen(listenUrl, channel, events),
    close: () => pool.end(),
  }
}

async function listen(
  url: string,
  channel: string,
  { message, lost }: NotificationEvents,
): Promise<NotificationListener> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: LISTENER_TIMEOUT_MS,
    application_name: 'animethemes-auth listener',
  })
  let isOver = false
  const end = (error: Error) => {
    if (isOver) return
    isOver = true
    lost(error)
    void client.end().catch(() => {})
  }
  client.on('notification', ({ payload = '' }) => message(payload))
  client.on('error', end)
  client.on('end', () => end(new Error('The connection was ended.')))
  try {
    await client.connect()
    await client.query(`listen ${client.escapeIdentifier(channel)}`)
  } catch (error) {
    isOver = true
    void client.end().catch(() => {})
    throw new DatabaseUnavailable(error)
  }
  return {
    async roundTrip() {
      try {
        await client.query('select 1')
      } catch (error) {
        end(error as Error)
        throw new DatabaseUnavailable(error)
      }
    },
    async close() {
      if (isOver) return
      isOver = true
      await client.end()
    },
  }
}
