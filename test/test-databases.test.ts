import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { aUser } from './fixtures/users.ts'
import { createDatabase, ENGINES, type Engine, type TestDatabase } from './support/databases.ts'

/** Changes that are not undone between tests, each with an expression that is true for a database with it. */
const CHANGES: [change: string, isChanged: string][] = [
  ['create table surplus ()', "to_regclass('surplus') is not null"],
  ['create schema surplus', "to_regnamespace('surplus') is not null"],
  [
    'alter table users add surplus text',
    "exists (select from pg_attribute where attrelid = 'users'::regclass and attname = 'surplus')",
  ],
  [
    'alter table users alter name drop not null',
    "not (select attnotnull from pg_attribute where attrelid = 'users'::regclass and attname = 'name')",
  ],
  [
    'alter table users disable trigger user',
    "exists (select from pg_trigger where tgrelid = 'users'::regclass and tgenabled = 'D')",
  ],
  ['drop index users_name_key_index', "to_regclass('users_name_key_index') is null"],
  ['create function surplus() returns integer language sql return 1', "to_regproc('surplus') is not null"],
  ['analyze roles', "exists (select from pg_statistic where starelid = 'roles'::regclass)"],
]

/** A test with a database, which is there for the next test afterwards. */
const withDatabase = (t: Test, engine: Engine, work: (database: TestDatabase) => Promise<unknown>) =>
  t.test('with a database', async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await work(database)
  })

for (const engine of ENGINES) {
  const roleNames = async ({ kysely }: TestDatabase) =>
    (await kysely.selectFrom('roles').select('name').orderBy('id').execute()).map(({ name }) => name)

  t.test(`${engine}: rows of a test do not reach the next one`, async t => {
    let roles: string[] = []
    let firstId = 0
    await withDatabase(t, engine, async database => {
      roles = await roleNames(database)
      t.not(roles.length, 0)
      firstId = (await aUser(database)).id
      await database.kysely.deleteFrom('roles').execute()
      await sql`create temporary table left_over (id integer)`.execute(database.kysely)
    })
    await withDatabase(t, engine, async database => {
      t.strictSame(await database.kysely.selectFrom('users').selectAll().execute(), [])
      t.strictSame(await roleNames(database), roles)
      t.equal((await aUser(database)).id, firstId, 'ids begin again')
      await sql`create temporary table left_over (id integer)`.execute(database.kysely)
    })
  })

  t.test(`${engine}: a transaction that a test leaves open is rolled back`, async t => {
    await t.test('with a database that is not closed', async t => {
      const { source } = await createDatabase(t, engine)
      const { query } = await source.acquire()
      await query('begin', [])
      await query('lock table users in access exclusive mode', [])
    })
    await withDatabase(t, engine, async database => t.ok((await aUser(database)).id))
  })
}

for (const [change, isChanged] of CHANGES) {
  // What is compared is the same for PGlite, where a new database takes a second.
  t.test(`a database is not used again after: ${change}`, async t => {
    const isTrue = async ({ kysely }: TestDatabase) =>
      (await sql<{ answer: boolean }>`select ${sql.raw(isChanged)} as answer`.execute(kysely)).rows[0]?.answer
    await withDatabase(t, 'postgres', async database => {
      t.equal(await isTrue(database), false)
      await sql.raw(change).execute(database.kysely)
      t.equal(await isTrue(database), true)
    })
    await withDatabase(t, 'postgres', async database => t.equal(await isTrue(database), false))
  })
}
