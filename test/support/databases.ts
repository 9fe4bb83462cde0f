import { randomBytes } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import type { Test } from 'tap'
import { type Database, databaseOver } from '#src/database/connect.ts'
import type { ConnectionRequest } from '#src/database/connection-classes.ts'
import type { Connection, ConnectionSource } from '#src/database/dialect.ts'
import { migrate } from '#src/database/migrate.ts'
import { seedPermissions } from '#src/database/permissions.ts'
import { type EmbeddedDatabase, PGLITE_OPTIONS, PgliteConnections } from '#src/database/pglite.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { ReusableDatabases, type TestCopy } from './reusable-databases.ts'

const ALL_ENGINES = ['postgres', 'pglite'] as const
export type Engine = (typeof ALL_ENGINES)[number]

/** The two databases that everything with SQL in it has to work on; TEST_ENGINES names one of them alone. */
export const ENGINES: readonly Engine[] = ALL_ENGINES.filter(
  engine => !process.env.TEST_ENGINES || engine === process.env.TEST_ENGINES,
)

/**
 * The database for what goes by rules of ours, over SQL that other files try on both: PGlite is slow, and shares the
 * thread of the tests.
 */
export const PRODUCTION_ENGINE: readonly Engine[] = ['postgres']

/** How the names of tests' databases begin. */
const PREFIX = 'animethemes_auth_test_'
const TEMPLATE = `${PREFIX}template`
const SEEDED_AT = Date.UTC(2026, 0, 1)

const serverUrl = () => {
  const url = process.env.TEST_DATABASE_URL
  if (!url) throw new Error('TEST_DATABASE_URL is not set: run the tests with "make test".')
  return url
}

/** The URL of another database on the same server. */
function urlOf(database: string, server = serverUrl()) {
  const url = new URL(server)
  url.pathname = `/${database}`
  return url.href
}

async function onServer(server: string, ...statements: string[]) {
  const client = new pg.Client(server)
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

/** What is written at some time or other, after answers. */
const BACKGROUND =
  /^\s*(with (used|owner|due) as|insert into (account_events|security_links)|select id, name, email, email_verified_at is)/

/** A database that remembers which statements it was sent. */
export interface TestDatabase extends Database {
  /** Their texts. */
  statements: string[]
  /** The texts of those that are done. */
  completed: string[]
  /** The same with their parameters, and their names if they have one. */
  queries: { text: string; parameters: readonly unknown[]; name: string | undefined }[]
  source: ConnectionSource
}

function over(source: ConnectionSource): TestDatabase {
  const statements: string[] = []
  const completed: string[] = []
  const queries: TestDatabase['queries'] = []
  const database = databaseOver({
    open: async () => {},
    close: () => source.close(),
    listen: (channel, events) => source.listen(channel, events),
    onLost: act => source.onLost?.(act) ?? (() => {}),
    ...(source.beginText && { beginText: source.beginText }),
    async acquire(claim) {
      const session = await source.acquire(claim)
      return {
        async query(text, parameters, name) {
          const isBackground = BACKGROUND.test(text)
          if (!isBackground) {
            statements.push(text)
            queries.push({ text, parameters, name })
          }
          const result = await session.query(text, parameters, name)
          if (!isBackground) completed.push(text)
          return result
        },
        release: () => session.release(),
      }
    },
  })
  return { ...database, statements, completed, queries, source }
}

/**
 * Does something on another connection before the first statement that matches, for a test of what comes between.
 *
 * @returns tells whether that statement came
 */
export function beforeStatement(
  t: Test,
  { source }: TestDatabase,
  pattern: RegExp,
  act: (other: Connection) => Promise<unknown>,
): () => boolean {
  const acquire = source.acquire.bind(source)
  t.teardown(() => Object.assign(source, { acquire }))
  let hasCome = false
  Object.assign(source, {
    acquire: async (claim?: ConnectionRequest): Promise<Connection> => {
      const session = await acquire(claim)
      return {
        async query(text, parameters, name) {
          if (!hasCome && pattern.test(text)) {
            hasCome = true
            const other = await acquire()
            try {
              await act(other)
            } finally {
              await other.release()
            }
          }
          return session.query(text, parameters, name)
        },
        release: () => session.release(),
      }
    },
  })
  return () => hasCome
}

/**
 * Does something on another connection once the first statement that matches is done, before its connection is free
 * for others: on both databases, as long as that statement is in no transaction.
 *
 * @returns tells whether that statement came
 */
export function afterStatement(
  t: Test,
  { source }: TestDatabase,
  pattern: RegExp,
  act: (other: Connection) => Promise<unknown>,
): () => boolean {
  const acquire = source.acquire.bind(source)
  t.teardown(() => Object.assign(source, { acquire }))
  let hasCome = false
  Object.assign(source, {
    acquire: async (claim?: ConnectionRequest): Promise<Connection> => {
      const session = await acquire(claim)
      let isIt = false
      return {
        query(text, parameters, name) {
          isIt ||= !hasCome && pattern.test(text)
          return session.query(text, parameters, name)
        },
        async release() {
          await session.release()
          if (!isIt || hasCome) return
          hasCome = true
          const other = await acquire()
          try {
            await act(other)
          } finally {
            await other.release()
          }
        },
      }
    },
  })
  return () => hasCome
}

export const onPostgres = (url: string) => over(postgresConnections(url, () => {}))
const onPglite = (pglite: EmbeddedDatabase) => over(new PgliteConnections(pglite))

/** Makes the database on the server that those of the tests are copies of: migrated, with roles and permissions. */
export async function makeTemplate(server: string): Promise<void> {
  await onServer(server, `drop database if exists ${TEMPLATE}`, `create database ${TEMPLATE}`)
  const database = onPostgres(urlOf(TEMPLATE, server))
  await migrate(database.kysely)
  await seedPermissions(database.kysely, SEEDED_AT)
  await database.close()
}

/** Makes the same for PGlite, whose files it writes into one. */
export async function makePgliteImage(path: string): Promise<void> {
  const pglite = await PGlite.create(PGLITE_OPTIONS)
  const database = onPglite(pglite)
  await migrate(database.kysely)
  await seedPermissions(database.kysely, SEEDED_AT)
  const image = await pglite.dumpDataDir('none')
  await writeFile(path, Buffer.from(await image.arrayBuffer()))
  await database.close()
}

/** A new database on the PostgreSQL server. */
async function makePostgres({ empty = false, options = '' } = {}) {
  const name = `${PREFIX}${randomBytes(6).toString('hex')}`
  await onServer(serverUrl(), `create database ${name}${empty ? ` ${options}` : ` template ${TEMPLATE}`}`)
  const url = urlOf(name)
  return {
    url,
    quiesce: () =>
      onServer(
        serverUrl(),
        `select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '${name}'`,
      ),
    maintain: async work => {
      const client = new pg.Client(url)
      await client.connect()
      try {
        return await work(client)
      } finally {
        await client.end()
      }
    },
    drop: () => onServer(serverUrl(), `drop database if exists ${name} with (force)`),
  } satisfies TestCopy & { url: string }
}

/** A new PGlite database in memory. */
async function makePglite({ empty = false } = {}) {
  const image = process.env.TEST_PGLITE_IMAGE ?? ''
  const pglite = await PGlite.create({
    ...PGLITE_OPTIONS,
    ...(!empty && { loadDataDir: await openAsBlob(image) }),
  })
  return {
    pglite,
    quiesce: async () => {
      if (pglite.isInTransaction()) await pglite.exec('rollback')
      await pglite.exec('unlisten *; select pg_advisory_unlock_all(); reset all; discard temp')
    },
    maintain: work => work(pglite),
    drop: () => pglite.close(),
  } satisfies TestCopy & { pglite: PGlite }
}

const REUSABLE = {
  postgres: new ReusableDatabases(makePostgres),
  pglite: new ReusableDatabases(makePglite),
}

/**
 * The URL of a database on the PostgreSQL server that is the test's own; migrated unless it is to be empty, and then
 * created with options such as an encoding.
 */
export async function createPostgresDatabase(t: Test, { empty = false, options = '' } = {}): Promise<string> {
  if (!empty) return (await REUSABLE.postgres.borrow(t)).url
  const { url, drop } = await makePostgres({ empty, options })
  t.teardown(drop)
  return url
}

/** A database of the test's own: migrated, with roles and permissions, unless it is to be empty. */
export async function createDatabase(t: Test, engine: Engine, { empty = false } = {}): Promise<TestDatabase> {
  if (engine === 'postgres') return onPostgres(await createPostgresDatabase(t, { empty }))
  if (empty) return onPglite((await makePglite({ empty })).pglite)
  const { pglite } = await REUSABLE.pglite.borrow(t)
  return onPglite({
    query: pglite.query.bind(pglite),
    exec: pglite.exec.bind(pglite),
    listen: pglite.listen.bind(pglite),
    isInTransaction: pglite.isInTransaction.bind(pglite),
    // The next test uses it.
    close: async () => {},
  })
}

/** Drops the databases of tests that are on a server. */
export async function dropDatabases(server: string): Promise<void> {
  const client = new pg.Client(server)
  await client.connect()
  try {
    const { rows } = await client.query('select datname from pg_database where starts_with(datname, $1)', [
      PREFIX,
    ])
    for (const { datname } of rows) await client.query(`drop database ${datname} with (force)`)
  } finally {
    await client.end()
  }
}
