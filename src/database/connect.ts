import { Kysely } from 'kysely'
import type { Config } from '../config.ts'
import {
  type NotificationEvents,
  type NotificationListener,
  SessionDialect,
  type SessionSource,
} from './dialect.ts'
import { openEmbedded } from './embedded.ts'
import { postgresSource } from './postgres.ts'
import type { Schema } from './schema.ts'
import { asUnavailable } from './unavailable.ts'

/** The database as the rest of the program sees it. */
export interface Database {
  kysely: Kysely<Schema>
  /**
   * A statement that is sent often, under a name of its own. Each call runs it with its parameters.
   *
   * @throws {DatabaseUnavailable} when the database does not answer
   */
  prepare<Row>(name: string, text: string): (parameters: readonly unknown[]) => Promise<Row[]>
  /** Listens to what is sent by NOTIFY on a channel, by whomever. */
  listen(channel: string, events: NotificationEvents): Promise<NotificationListener>
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
    dataDir,
  }: Pick<Config, 'databaseUrl' | 'databaseListenUrl' | 'databasePrepare' | 'dataDir'>,
  { command, share, onLostConnection }: ConnectOptions,
): Database {
  return databaseOver(
    databaseUrl === null
      ? lazily(() => openEmbedded({ dataDir, command, share }))
      : {
          ...postgresSource(databaseUrl, onLostConnection, {
            listenUrl: databaseListenUrl ?? undefined,
            prepares: databasePrepare,
          }),
          open: async () => {},
        },
  )
}

/** A {@link Database} over sessions from anywhere. */
export function databaseOver(source: SessionSource & { open(): Promise<void> }): Database {
  const kysely = new Kysely<Schema>({ dialect: new SessionDialect(source) })
  return {
    kysely,
    prepare:
      <Row>(name: string, text: string) =>
      async (parameters: readonly unknown[]) => {
        const session = await source.acquire()
        try {
          return (await session.query(text, parameters, name)).rows as Row[]
        } finally {
          await session.release()
        }
      },
    listen: (channel, events) => source.listen(channel, events),
    open: source.open,
    close: () => kysely.destroy(),
  }
}

function lazily(open: () => Promise<SessionSource>): SessionSource & { open(): Promise<void> } {
  let opened: Promise<SessionSource> | undefined
  const source = () => {
    opened ??= open()
    return opened
  }
  return {
    async open() {
      await source()
    },
    async acquire() {
      const session = await (await source()).acquire()
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
