import { randomBytes } from 'node:crypto'
import { setImmediate as immediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { mintSecret, parseToken } from '#src/auth/token.ts'
import { databaseOver } from '#src/database/connect.ts'
import { statementNames } from '#src/database/dialect.ts'
import { identities } from '#src/database/identities.ts'
import { permissionMaps } from '#src/database/permission-map.ts'
import { postgresSource } from '#src/database/postgres.ts'
import { sharedLookup } from '#src/database/shared-lookup.ts'
import { DatabaseUnavailable } from '#src/database/unavailable.ts'
import { DAY, NOW } from '../fixtures/clock.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { addRevocation, get, send, startApp, TEST_KEY, type TestApp } from '../support/app.ts'
import { createDatabase, createPostgresDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'
import { run } from '../support/processes.ts'

const TYPES = [USER_TYPE, 'App\\Models\\User']

/** Until what is due has happened, and what that makes due. */
async function turn() {
  await immediate()
  await immediate()
}

/** A place to look things up, whose answers the test gives. */
function held() {
  const reads: { keys: readonly number[]; answer(): void; fail(error: Error): void }[] = []
  const read = (keys: readonly number[]) =>
    new Promise<Map<number, string>>((resolve, reject) => {
      const rows = () => new Map(keys.filter(key => key >= 0).map(key => [key, `row ${key}`]))
      reads.push({ keys, answer: () => resolve(rows()), fail: reject })
    })
  return { reads, read }
}

t.test('a shared look-up', async t => {
  t.test('answers all who ask at once with one statement', async t => {
    const { reads, read } = held()
    const find = sharedLookup(read)
    const answers = Promise.all([1, 2, 3, 2, -1].map(key => find(key)))
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [[1, 2, 3, -1]],
    )
    reads[0]?.answer()
    t.strictSame(await answers, ['row 1', 'row 2', 'row 3', 'row 2', null])
  })

  t.test(
    'gives its answers a few a turn of the event loop, and asks no more until all are given',
    async t => {
      const { reads, read } = held()
      const find = sharedLookup(read, { inFlight: 1 })
      let given = 0
      const ask = async (key: number) => {
        await find(key)
        given += 1
      }
      const answers = Promise.all(Array.from({ length: 100 }, (_, key) => ask(key)))
      await turn()
      const further = find(100)
      reads[0]?.answer()
      const steps: number[] = []
      while (given < 100) {
        const before = given
        await new Promise(resolve => setImmediate(resolve))
        if (given > before) steps.push(given - before)
        t.equal(reads.length, 1)
      }
      t.strictSame(steps, [32, 32, 32, 4])
      await answers
      await turn()
      await turn()
      t.equal(reads.length, 2)
      reads[1]?.answer()
      await further
    },
  )

  t.test('never reads before the question was asked, not even for the same key', async t => {
    const { reads, read } = held()
    const find = sharedLookup(read, { inFlight: 1 })
    const first = find(1)
    await turn()
    const second = find(1)
    await turn()
    t.equal(reads.length, 1, 'what is under way was sent before')
    reads[0]?.answer()
    await first
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [[1], [1]],
    )
    reads[1]?.answer()
    t.equal(await second, 'row 1')
  })

  t.test('has so many statements under way, with so many keys, in the order of asking', async t => {
    const { reads, read } = held()
    const find = sharedLookup(read, { inFlight: 2, batch: 2 })
    const answers = [1, 2, 3, 4, 5, 1].map(key => find(key))
    await turn()
    t.strictSame(
      reads.map(({ keys }) => keys),
      [
        [1, 2],
        [3, 4],
      ],
    )
    reads[1]?.answer()
    await Promise.all([answers[2], answers[3]])
    await turn()
    t.strictSame(reads[2]?.keys, [5, 1])
    for (const { answer } of reads) answer()
    t.strictSame(await Promise.all(answers), ['row 1', 'row 2', 'row 3', 'row 4', 'row 5', 'row 1'])
  })

  t.test('lets a key that makes a statement fail harm no other', async t => {
    const asked: number[][] = []
    const find = sharedLookup(async (keys: readonly number[]) => {
      asked.push([...keys])
      if (keys.includes(3)) throw new Error('no such key')
      return new Map(keys.map(key => [key, `row ${key}`]))
    })
    const answers = await Promise.allSettled([1, 2, 3, 4, 5].map(key => find(key)))
    t.strictSame(
      answers.map(answer => (answer.status === 'fulfilled' ? answer.value : answer.reason.message)),
      ['row 1', 'row 2', 'no such key', 'row 4', 'row 5'],
    )
    t.ok(asked.length <= 7, `in ${asked.length} statements`)
    t.equal(await find(1), 'row 1', 'and goes on')
  })

  t.test('does not ask a database again that is gone', async t => {
    let asked = 0
    const find = sharedLookup(async (_keys: readonly number[]) => {
      asked += 1
      throw new DatabaseUnavailable(new Error('gone'))
    })
    const answers = await Promise.allSettled([1, 2, 3].map(key => find(key)))
    t.strictSame(
      answers.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    )
    t.equal(asked, 1)
  })

  t.test('turns away who would wait too long', async t => {
    const { reads, read } = held()
    const find = sharedLookup(read, { inFlight: 1, waiting: 2 })
    const first = find(1)
    await turn()
    const waiting = [find(2), find(3)]
    await t.rejects(find(4), { name: 'LookupRefused', message: /too many are waiting/ })
    reads[0]?.answer()
    await first
    await turn()
    reads[1]?.answer()
    t.strictSame(await Promise.all(waiting), ['row 2', 'row 3'])
  })

  t.test('turns away what has waited too long when its turn comes', async t => {
    const { reads, read } = held()
    let now = 0
    const find = sharedLookup(read, { inFlight: 1, waitMs: 1_000, monotonic: () => now })
    const first = find(1)
    await turn()
    const old = find(2)
    now = 500
    const young = find(3)
    now = 1_001
    reads[0]?.answer()
    await first
    await t.rejects(old, { name: 'LookupRefused', message: /waited too long/ })
    reads[1]?.answer()
    t.equal(await young, 'row 3')
  })

  t.test('does not look up what nobody waits for any longer', async t => {
    const { reads, read } = held()
    const find = sharedLookup(read, { inFlight: 1 })
    const asker = { destroyed: false }
    const first = find(1)
    await turn()
    const gone = find(2, asker)
    const shared = find(3, asker)
    const other = find(3)
    asker.destroyed = true
    reads[0]?.answer()
    await first
    await t.rejects(gone, { name: 'LookupRefused' })
    await t.rejects(shared, { name: 'LookupRefused' })
    await turn()
    t.strictSame(reads[1]?.keys, [3])
    reads[1]?.answer()
    t.equal(await other, 'row 3')
    const nobody = find(4, asker)
    await t.rejects(nobody, { name: 'LookupRefused' })
    t.equal(reads.length, 2)
    const next = find(5)
    await turn()
    reads[2]?.answer()
    t.equal(await next, 'row 5', 'and goes on')
  })
})

for (const engine of ENGINES) {
  t.test(`identities on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await found(t, database)
    await freshness(t, database)
    await statements(t, database)
  })
}

t.test('two hundred revocations under load count at once, on each of two instances', async t => {
  const url = await createPostgresDatabase(t)
  const open = () => {
    const database = databaseOver(
      Object.assign(
        postgresSource(url, () => {}),
        { open: async () => {} },
      ),
    )
    t.teardown(() => database.close())
    return database
  }
  const [one, other, operator] = [open(), open(), open()]
  const environment = {
    RATE_LIMIT_ANONYMOUS: '1000000',
    RATE_LIMIT_AUTHENTICATED: '1000000',
    RATE_LIMIT_FAILED_AUTH: '1000000',
  }
  const instances = [
    await startApp(t, {
      database: one,
      environment: { ...environment, LOG_LEVEL: 'silent' },
      routes: scope => addRevocation(scope, one),
    }),
    await startApp(t, { database: other, environment: { ...environment, LOG_LEVEL: 'silent' } }),
  ]
  const user = await aUser(operator, { roles: ['Verified'] })

  let isOver = false
  let served = 0
  const load = Array.from({ length: 8 }, async (_, n) => {
    while (!isOver) {
      const { status } = await get(instances[n % 2] as TestApp, '/api/me', user.token)
      if (status === 200) served += 1
    }
  })

  type Revocation = (tokenId: number, userId: number) => Promise<unknown>
  const byRequest: Revocation = tokenId => send(instances[0] as TestApp, 'DELETE', `/tokens/${tokenId}`)
  const byCommand: Revocation = tokenId =>
    run({ DATABASE_URL: url, APP_KEY: TEST_KEY }, ['token', 'revoke', String(tokenId)])
  const revocations: Revocation[] = [
    byRequest,
    tokenId => sql`delete from personal_access_tokens where id = ${tokenId}`.execute(operator.kysely),
    tokenId =>
      sql`update personal_access_tokens set expires_at = '2026-01-01' where id = ${tokenId}`.execute(
        operator.kysely,
      ),
    tokenId =>
      sql`update personal_access_tokens set token = ${'0'.repeat(64 - String(tokenId).length) + tokenId} where id = ${tokenId}`.execute(
        operator.kysely,
      ),
    (_, userId) =>
      sql`update users set deleted_at = '2026-01-01' where id = ${userId}`.execute(operator.kysely),
  ]
  const accepted: number[] = []
  for (let round = 0; round < 200; round += 1) {
    // A process takes its time to start.
    const revoke = round % 50 === 0 ? byCommand : (revocations[round % revocations.length] as Revocation)
    const target =
      revoke === revocations.at(-1)
        ? await aUser(operator)
        : { id: user.id, ...(await aToken(operator, user.id)) }
    // Both have just seen the token at work.
    const before = await Promise.all(instances.map(app => get(app, '/api/me', target.token)))
    if (!before.every(({ status }) => status === 200)) t.fail(`round ${round}: it did not work before`)
    await revoke(target.tokenId, target.id)
    const after = await Promise.all(instances.map(app => get(app, '/api/me', target.token)))
    if (!after.every(({ status }) => status === 401)) accepted.push(round)
  }
  isOver = true
  await Promise.all(load)
  t.strictSame(accepted, [], 'no request that arrived after the commit was let in')
  t.ok(served > 200, `while ${served} other requests were answered`)
})

async function found(t: Test, database: TestDatabase) {
  t.test('each gets what is its own, with or without an id', async t => {
    const { token } = identities(database, TYPES, () => NOW)
    const users = await Promise.all([
      aUser(database, { permissions: ['view playlist'] }),
      aUser(database, { roles: ['Verified', 'Patron'] }),
      aUser(database),
    ])
    const secretOf = (text: string) => text.split('|')[1] as string
    const credentials = users.flatMap(user => [parseToken(user.token), parseToken(secretOf(user.token))])
    const missing = parseToken(`4711|${mintSecret('', randomBytes).reveal()}`)
    database.statements.length = 0
    const stored = await Promise.all(
      [...credentials, missing].map(credential => credential && token(credential)),
    )
    t.equal(database.statements.length, 3, 'one for ids, one for digests, one for what permissions there are')
    t.strictSame(
      stored.map(one => one?.owner?.user.id ?? null),
      [...users.flatMap(({ id }) => [id, id]), null],
    )
    t.strictSame([...(stored[0]?.owner?.permissions ?? [])], ['view playlist'])
    t.ok(stored[2]?.owner?.permissions.has('bypass feature flags'), 'by a role')
    t.equal(stored[4]?.owner?.permissions.size, 0)
    const names = database.queries.slice(-3).map(({ name }) => name)
    t.strictSame(
      names.sort(),
      ['permission_map', 'tokens_by_digest', 'tokens_by_id'],
      'each prepared under a name',
    )
  })

  t.test('whatever a row holds', async t => {
    const { token } = identities(database, TYPES, () => NOW)
    const user = await aUser(database)
    const name = `"quoted", [brackets] {braces} \\ back\u2028slash \u{1F600} ${'x'.repeat(200)}`
    await database.kysely.updateTable('users').set({ name }).where('id', '=', user.id).execute()
    const { tokenId, token: text } = await aToken(database, user.id, { expiresAt: NOW + DAY })
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ name: 'a\ttab,comma', expires_at: 'infinity', created_at: '2026-01-02 03:04:05.123456' })
      .where('id', '=', tokenId)
      .execute()
    const stored = await token(parseToken(text) as NonNullable<ReturnType<typeof parseToken>>)
    t.match(stored, {
      id: tokenId,
      name: 'a\ttab,comma',
      expiresAt: Number.POSITIVE_INFINITY,
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 123),
      owner: { user: { name, emailVerifiedAt: '2026-03-01 12:00:00', twoFactorConfirmedAt: null } },
    })
  })
}

async function freshness(t: Test, database: TestDatabase) {
  const { kysely } = database

  t.test('what permissions mean is known anew as soon as anybody changes it', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    const status = async () => (await get(app, '/api/me/playlist', token)).status
    const changes = [
      [
        `delete from role_has_permissions where permission_id = (select id from permissions where name = 'view playlist')`,
        403,
      ],
      [
        `insert into role_has_permissions (role_id, permission_id)
          select r.id, p.id from roles r, permissions p where r.name = 'Verified' and p.name = 'view playlist'`,
        200,
      ],
      [`update permissions set name = 'view playlists' where name = 'view playlist'`, 403],
      [`update permissions set name = 'view playlist' where name = 'view playlists'`, 200],
      [`update roles set guard_name = 'other' where name = 'Verified'`, 403],
      [`update roles set guard_name = 'web' where name = 'Verified'`, 200],
    ] as const
    t.equal(await status(), 200)
    for (const [statement, expected] of changes) {
      await sql.raw(statement).execute(kysely)
      t.equal(await status(), expected, statement)
    }
  })

  t.test('prohibitions, by sanctions too', async t => {
    const app = await startApp(t, { database })
    const { id, token } = await aUser(database, { roles: ['Verified'] })
    const status = async () => (await get(app, '/api/me/playlist', token)).status
    await sql`insert into sanctions (name) values ('no lists')`.execute(kysely)
    await sql`
      insert into model_sanctions (model_type, model_id, sanction_id)
      select ${USER_TYPE}, ${id}, id from sanctions where name = 'no lists'`.execute(kysely)
    t.equal(await status(), 200, 'a sanction of nothing')
    await sql`
      insert into sanction_prohibition (sanction_id, prohibition_id)
      select s.id, p.id from sanctions s, prohibitions p where s.name = 'no lists' and p.name = 'view playlist'`.execute(
      kysely,
    )
    t.equal(await status(), 403)
    await sql`delete from sanctions where name = 'no lists'`.execute(kysely)
    t.equal(await status(), 200)
  })

  t.test('a change that is not committed is none, and many who change at once count each', async t => {
    const version = async () =>
      Number(
        (await kysely.selectFrom('permission_versions').select('version').executeTakeFirstOrThrow()).version,
      )
    const before = await version()
    await kysely
      .transaction()
      .execute(async transaction => {
        await sql`update roles set color = '#000000' where name = 'Verified'`.execute(transaction)
        throw new Error('no')
      })
      .catch(() => {})
    t.equal(await version(), before)
    await Promise.all(
      Array.from({ length: 5 }, (_, n) =>
        sql`update roles set priority = ${n} where name = 'Verified'`.execute(kysely),
      ),
    )
    t.equal(await version(), before + 5)
  })

  t.test('a map is loaded once for all who wait for it, and again for a version that came later', async t => {
    const mapOf = permissionMaps(database)
    const { version } = await kysely
      .selectFrom('permission_versions')
      .select('version')
      .executeTakeFirstOrThrow()
    database.statements.length = 0
    const maps = await Promise.all([mapOf(version), mapOf(version), mapOf(version)])
    t.equal(database.statements.length, 1)
    t.equal(maps[0], maps[1])
    t.equal(await mapOf(version), maps[0])
    await sql`update roles set priority = 0 where name = 'Verified'`.execute(kysely)
    t.equal((await mapOf(version + 1)).version, version + 1)
    t.equal((await mapOf(version)).version, version + 1, 'never an older one')
  })
}

async function statements(t: Test, database: TestDatabase) {
  t.test('what each route costs', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    await get(app, '/api/me', token)
    const cost = async (url: string, method: 'GET' | 'PUT' = 'GET') => {
      database.queries.length = 0
      const { statusCode } = await app.inject({ method, url, headers: { authorization: `Bearer ${token}` } })
      t.equal(statusCode, 200, url)
      const [identity, ...others] = database.queries
      t.equal(identity?.name, 'tokens_by_id', `${url}: who is calling, by a statement that is prepared`)
      return others.length
    }
    t.equal(await cost('/api/me'), 0)
    t.equal(await cost('/api/me?include=playlists'), 1)
    t.equal(await cost('/api/me?include=playlists,roles.permissions'), 3)
    for (const list of ['playlist', 'externalprofile', 'notification'])
      t.equal(await cost(`/api/me/${list}`), 1, list)
    t.equal(await cost('/api/me/playlist?include=tracks.next,user'), 1, 'nothing to include costs nothing')
    t.equal(await cost('/api/me/notification/readall', 'PUT'), 1)
  })

  t.test('a list that is asked for again and again is prepared', async t => {
    const app = await startApp(t, { database })
    const { token } = await aUser(database, { roles: ['Verified'] })
    const names: (string | undefined)[] = []
    for (const size of [15, 15, 15, 20, 15, 30]) {
      t.equal(
        (await get(app, `/api/me/externalprofile?filter[name]=mine&page[size]=${size}`, token)).status,
        200,
      )
      names.push(database.queries.at(-1)?.name)
    }
    t.strictSame(names.slice(-3).map(Boolean), [false, true, true], 'from the fifth time on')
    t.equal(names.at(-1), names.at(-2), 'whatever its parameters')
  })

  t.test('so many texts get names, and a bound number', async t => {
    const nameOf = statementNames()
    const often = (text: string) => Array.from({ length: 6 }, () => nameOf(text)).at(-1)
    const names = Array.from({ length: 60 }, (_, n) => often(`select ${n}`))
    t.equal(new Set(names.slice(0, 50)).size, 50)
    t.strictSame(names.slice(50), Array(10).fill(undefined))
    t.equal(nameOf('select 0'), names[0])
  })

  t.test('two hundred at once share a few', async t => {
    const app = await startApp(t, { database })
    const users = await Promise.all(Array.from({ length: 20 }, () => aUser(database)))
    database.queries.length = 0
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => get(app, '/api/me', users[n % 20]?.token)),
    )
    t.strictSame(
      answers.map(({ json }) => json.user.id),
      Array.from({ length: 200 }, (_, n) => users[n % 20]?.id),
      'and each gets its own answer',
    )
    t.ok(database.queries.length <= 20, `${database.queries.length} statements`)
  })
}
