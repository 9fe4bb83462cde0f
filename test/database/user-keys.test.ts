import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { fillUserKeys, findCollisions, findTakenFields, userKeys } from '#src/database/user-keys.ts'
import { findUserByEmail, insertUser } from '#src/database/users.ts'
import { NOW } from '../fixtures/clock.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { until } from '../support/until.ts'

const TAKEN = { message: 'The name has already been taken.' }

for (const engine of ENGINES) {
  t.test(`name and address keys of users, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testStaleKeys(t, database)
    await testFilling(t, database)
    await testCollisions(t, database)
    if (engine === 'postgres') await testWaiting(t, database)
  })
}

const insert = ({ kysely }: Pick<TestDatabase, 'kysely'>, name: string, email = `${name}@example.org`) =>
  insertUser(kysely, { name, email, password: '!' as never, verified: true, now: NOW })

/** Adds a user like Laravel, without keys. */
const insertAsLaravel = async ({ kysely }: TestDatabase, name: string, email = `${name}@example.org`) =>
  (
    await kysely
      .insertInto('users')
      .values({ name, email, password: '!' })
      .returning('id')
      .executeTakeFirstOrThrow()
  ).id

const keysOf = ({ kysely }: TestDatabase, id: number) =>
  kysely
    .selectFrom('users')
    .select(['name_key', 'name_skeleton', 'email_key'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()

const NONE = { name_key: null, name_skeleton: null, email_key: null }

const isNameTaken = async ({ kysely }: TestDatabase, name: string) =>
  (await findTakenFields(kysely, { name, email: null }, null, NOW)).has('name')

async function testStaleKeys(t: Test, database: TestDatabase) {
  await t.test('keys of rows that Laravel changed are outdated', async t => {
    const { kysely } = database
    const [name, email] = ['stale', 'stale@example.org']
    const id = await insert(database, name)
    t.strictSame(await keysOf(database, id), userKeys({ name, email }))
    const rename = (change: { name?: string; email?: string }) =>
      kysely.updateTable('users').set(change).where('id', '=', id).execute()
    await rename({ name, email })
    t.strictSame(await keysOf(database, id), userKeys({ name, email }), 'unchanged values keep their keys')
    await rename({ name: 'renamed' })
    t.strictSame(await keysOf(database, id), { ...NONE, email_key: email })
    t.notOk(await isNameTaken(database, 'stálé'))
    t.ok(await isNameTaken(database, 'RENAMED'), 'without a key names are compared ignoring case')
    t.ok(await isNameTaken(database, 'rénamed'), 'a confusable form of the new name')
    await rename({ email: 'other@example.org' })
    t.strictSame(await keysOf(database, id), NONE)
    t.equal((await findUserByEmail(kysely, 'OTHER@example.org'))?.id, id)
    t.equal((await fillUserKeys(kysely)).filled, 1)
    t.strictSame(await keysOf(database, id), userKeys({ name: 'renamed', email: 'other@example.org' }))
    t.ok(await isNameTaken(database, 'rеnamed'))
  })
}

async function testFilling(t: Test, database: TestDatabase) {
  await t.test('missing keys are filled in batches by concurrent processes', async t => {
    const { kysely } = database
    await sql`
      insert into users (name, email, password)
      select 'fillér' || n, 'filler' || n || '@bücher.example', '!' from generate_series(1, 1201) as n`.execute(
      kysely,
    )
    const runs = await Promise.all([fillUserKeys(kysely), fillUserKeys(kysely)])
    const again = await fillUserKeys(kysely)
    t.equal(
      runs.reduce((sum, { filled }) => sum + filled, again.filled),
      1201,
    )
    const { rows } = await sql`
      select 1 from users where name_key is null or name_skeleton is null or email_key is null`.execute(
      kysely,
    )
    t.equal(rows.length, 0)
    t.ok(await isNameTaken(database, 'FILLER1201'))
    t.equal((await findUserByEmail(kysely, 'filler7@xn--bcher-kva.example'))?.name, 'fillér7')
    t.strictSame(await fillUserKeys(kysely), { filled: 0, collisions: [] })
  })

  await t.test('keys of unusual names', async t => {
    const { kysely } = database
    const odd = ['\u3164', '\u0301', ' ', '', '\ufdfa'.repeat(255), '\u{1f600}'.repeat(255), 'a\u200bb']
    const ids = []
    for (const [index, name] of odd.entries()) ids.push(await insertAsLaravel(database, name, `odd${index}`))
    t.equal((await fillUserKeys(kysely)).filled, odd.length)
    for (const id of ids) t.notOk(Object.values(await keysOf(database, id)).includes(null))
  })

  await t.test('keys of addresses in pending reverts', async t => {
    const { kysely } = database
    const userId = await insert(database, 'reverting')
    await kysely
      .insertInto('email_reverts')
      .values({
        user_id: userId,
        email: 'kept@bücher.example',
        token: 'x',
        had_second_factor: false,
        changed_at: '2026-03-01 12:00:00',
        expires_at: '2026-03-08 12:00:00',
      })
      .execute()
    const taken = () =>
      findTakenFields(kysely, { name: null, email: 'kept@xn--bcher-kva.example' }, null, NOW)
    t.equal((await taken()).size, 0)
    await fillUserKeys(kysely)
    t.ok((await taken()).has('email'))
  })
}

async function testCollisions(t: Test, database: TestDatabase) {
  await t.test('colliding keys are reported and not stored', async t => {
    const { kysely } = database
    const first = await insertAsLaravel(database, 'trimmed', 'jane@bücher.example')
    const second = await insertAsLaravel(database, 'trímmed', 'jane@xn--bcher-kva.example')
    const third = await insertAsLaravel(database, 'trіmmed', '"jane"@bücher.example')
    const { filled, collisions } = await fillUserKeys(kysely)
    t.equal(filled, 3)
    t.strictSame(collisions, [{ userIds: [first, second, third] }])
    const found = (await findCollisions(kysely)).filter(({ id }) => [first, second, third].includes(id))
    t.strictSame(
      found.map(({ field, id }) => [field, id]).sort(),
      [
        ...[first, second, third].map(id => ['email', id]),
        ...[first, second].map(id => ['name', id]),
        ...[first, second, third].map(id => ['name', id]),
      ].sort(),
    )
    for (const [email, id] of [
      ['jane@bücher.example', first],
      ['JANE@bücher.example', first],
      ['jane@xn--bcher-kva.example', second],
      ['"jane"@bücher.example', third],
      ['\u200b"JANE"@bücher.example', third],
    ] as const) {
      t.equal((await findUserByEmail(kysely, email))?.id, id, email)
    }
    await t.rejects(insert(database, 'TRIMMED', 'jane4@example.org'), TAKEN)
  })
}

async function testWaiting(t: Test, database: TestDatabase) {
  for (const [kind, name, other] of [
    ['accents', 'waiting', 'wáiting'],
    ['looks', 'paypal', 'раураl'],
  ] as const) {
    await t.test(`a registration with the same ${kind} waits for a concurrent one`, async t => {
      const { kysely } = database
      let isSettled = false
      const isWaiting = async () => {
        const { rows } = await sql`
          select 1 from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())`.execute(kysely)
        return isSettled || rows.length > 0
      }
      let second: Promise<unknown> = Promise.resolve()
      await kysely.transaction().execute(async transaction => {
        await insert({ kysely: transaction }, name)
        second = insert(database, other, 'other@example.net').then(
          () => 'inserted',
          error => error.message,
        )
        second.then(() => {
          isSettled = true
        })
        await until(isWaiting)
      })
      t.equal(await second, TAKEN.message)
    })
  }
}
