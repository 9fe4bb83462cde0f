import { Kysely } from 'kysely'
import type { Config } from '#src/config/config.ts'
import { DEFAULT_CONNECTIONS, shares } from '#src/runtime/connection-shares.ts'
import type { Bound } from '#src/runtime/slots.ts'
import { type Claim, WRITE } from './connection-classes.ts'
import {
  type Connection,
  ConnectionDialect,
  type ConnectionSource,
  type NotificationEvents,
  type NotificationListener,
  statementNames,
} from './dialect.ts'
import { openEmbedded } from './embedded.ts'
import { postgresConnections } from './postgres.ts'
import type { Schema } from './schema.ts'
import { asUnavailable } from './unavailable.ts'

/** Who asks for a list, and until when. */
export interface ListAsker {
  /** Whose share of the connections it takes; null for one who is not bounded. */
  caller: string | null
  /**
   * Whether the answer is known to be much work: such questions never occupy all connections for lists, and run in a
   * read-only transaction whose statements the server itself ends when they take too long.
   */
  isHeavy: boolean
  /** Cancels the statements when it aborts. It is asked for when something takes long. */
  signal: (() => AbortSignal) | undefined
}

/** The database as the rest of the program sees it, each part of it with connections of its own. */
export interface Database {
  /** What writes, and whatever else is short. Transactions and their waiting for locks are limited in time. */
  kysely: Kysely<Schema>
  /** What a login needs: passwords, counters of attempts, sessions. */
  logins: Kysely<Schema>
  /** What takes as long as it takes: migrations. */
  migrations: Kysely<Schema>
  /**
   * Runs the statements of a list, one after the other.
   *
   * @throws {DatabaseBusy} when too many lists are under way, or the asker gives up
   */
  list<T>(asker: ListAsker, work: (db: Kysely<Schema>) => Promise<T>): Promise<T>
  /**
   * A statement that finds out who is calling, under a name of its own. Each call runs it with its parameters.
   *
   * @throws {DatabaseUnavailable} when the database does not answer
   */
  prepare<Row>(name: string, text: string): (parameters: readonly unknown[]) => Promise<Row[]>
  /** Listens to what is sent by NOTIFY on a channel, by whomever. */
  listen(channel: string, events: NotificationEvents): Promise<NotificationListener>
  /** Has something done whenever a connection is lost. The returned function ends that. */
  onLost(act: (error: Error) => void): () => void
  /** Opens the embedded database, which the first statement does otherwise. */
  open(): Promise<void>
  close(): Promise<void>
}

export interface ConnectOptions {
  /** What the process is called, in the sentence for somebody who finds the embedded database taken. */
  command: string
  /** Whether to work through the process that holds the embedded database, if one does. */
  share: boolean
  onLostConnection(error: Error): void
}

/**
 * The database that DATABASE_URL names, or the embedded one in DATA_DIR. Nothing is opened before it is needed.
 */
export function connectDatabase(
  {
    databaseUrl,
    databaseListenUrl,
    databasePrepare,
    databaseConnections,
    dataDir,
  }: Pick<
    Config,
    'databaseUrl' | 'databaseListenUrl' | 'databasePrepare' | 'databaseConnections' | 'dataDir'
  >,
  { command, share, onLostConnection }: ConnectOptions,
): Database {
  return databaseOver(
    databaseUrl === null
      ? lazily(() => openEmbedded({ dataDir, command, share }))
      : {
          ...postgresConnections(databaseUrl, onLostConnection, {
            listenUrl: databaseListenUrl ?? undefined,
            prepares: databasePrepare,
            connections: databaseConnections,
          }),
          open: async () => {},
        },
    { connections: databaseConnections },
  )
}

/**
 * How many statements of lists one caller may have under way, and heavy ones all callers together, as shares of the
 * connections for lists; and how many of them may wait.
 */
const LIST_BOUND = { share: 0.5, waiting: 20 }

/** A {@link Database} over sessions from anywhere. */
export function databaseOver(
  source: ConnectionSource & { open(): Promise<void> },
  { connections = DEFAULT_CONNECTIONS }: { connections?: number } = {},
): Database {
  const nameOf = statementNames()
  const kyselyFor = (claim?: Claim) =>
    new Kysely<Schema>({ dialect: new ConnectionDialect(source, nameOf, claim) })
  const holding = Math.max(1, Math.floor(shares(connections).list * LIST_BOUND.share))
  const bound = (key: string): Bound => ({ key, holding, waiting: LIST_BOUND.waiting })
  return {
    kysely: kyselyFor(),
    logins: kyselyFor({ connectionClass: 'login' }),
    migrations: kyselyFor({ ...WRITE, isPatient: true }),
    async list({ caller, isHeavy, signal }, work) {
      const session = await source.acquire({
        connectionClass: 'list',
        isReadOnly: isHeavy,
        bounds: [...(caller === null ? [] : [bound(caller)]), ...(isHeavy ? [bound('heavy')] : [])],
        ...(signal && { signal }),
      })
      const held: Connection = {
        query: (text, parameters, name) => session.query(text, parameters, name),
        release: async () => {},
      }
      try {
        return await work(
          new Kysely({ dialect: new ConnectionDialect({ acquire: async () => held }, nameOf) }),
        )
      } finally {
        await session.release()
      }
    },
    prepare:
      <Row>(name: string, text: string) =>
      async (parameters: readonly unknown[]) => {
        const session = await source.acquire({ connectionClass: 'identity' })
        try {
          return (await session.query(text, parameters, name)).rows as Row[]
        } finally {
          await session.release()
        }
      },
    listen: (channel, events) => source.listen(channel, events),
    onLost: act => source.onLost?.(act) ?? (() => {}),
    open: source.open,
    close: () => source.close(),
  }
}

function lazily(open: () => Promise<ConnectionSource>): ConnectionSource & { open(): Promise<void> } {
  let opened: Promise<ConnectionSource> | undefined
  const source = () => {
    opened ??= open()
    return opened
  }
  return {
    async open() {
      await source()
    },
    async acquire(claim) {
      const session = await (await source()).acquire(claim)
      return {
        query: (sql, parameters, name) =>
          session.query(sql, parameters, name).catch(error => {
            throw asUnavailable(error)
          }),
        release: () => session.release(),
      }
    },
    async listen(channel, events) {
      return (await source()).listen(channel, events)
    },
    async close() {
      await (await opened)?.close()
    },
  }
}
