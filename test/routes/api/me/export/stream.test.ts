import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Database } from '#src/database/connect.ts'
import { DatabaseBusy } from '#src/database/unavailable.ts'
import { banFromEverything } from '../../../../fixtures/bans.ts'
import { aLoggedInUser, type TestBrowser } from '../../../../fixtures/browser.ts'
import { DAY, HOUR, testClock } from '../../../../fixtures/clock.ts'
import { EXPORT_PATH } from '../../../../fixtures/data-export.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aUser, type TestUser, USER_TYPE } from '../../../../fixtures/users.ts'
import { get, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'
import { until } from '../../../../support/until.ts'

/** Gives a user notifications, which are several statements and several parts of the document. */
const addNotifications = ({ kysely }: TestDatabase, { id }: { id: number }, count: number, size: number) =>
  sql`insert into notifications (id, type, notifiable_type, notifiable_id, data, created_at)
    select gen_random_uuid(), 'x', ${USER_TYPE}, ${id}::bigint, repeat('x', ${size}::int), '2026-01-01'::timestamp
    from generate_series(1, ${count}::int)`.execute(kysely)

/** A database that does something before a statement of a list that follows the first page of notifications. */
function interruptible(database: TestDatabase) {
  const hooks = { beforeNextPage: null as (() => Promise<unknown>) | null, reads: 0 }
  let seen = 0
  const list: Database['list'] = async (caller, work) => {
    hooks.reads += 1
    const pages = database.statements.filter(text => /from "notifications"/.test(text)).length
    const { beforeNextPage: act } = hooks
    if (act !== null && pages - seen >= 2) {
      hooks.beforeNextPage = null
      await act()
    }
    return database.list(caller, work)
  }
  return {
    database: { ...database, list },
    hooks,
    /** Does it once. */
    beforeNextPage(act: () => Promise<unknown>) {
      seen = database.statements.filter(text => /from "notifications"/.test(text)).length
      hooks.beforeNextPage = act
    },
  }
}

const listen = async (app: TestApp): Promise<number> => {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

/** Downloads over a connection. Returns what arrived, and whether the response was complete by HTTP. */
async function download(
  app: TestApp,
  headers: Record<string, string>,
): Promise<{ status: number; text: string; isWhole: boolean }> {
  const response = await fetch(`http://127.0.0.1:${await listen(app)}${EXPORT_PATH}`, { headers })
  let text = ''
  const decoder = new TextDecoder()
  try {
    for await (const chunk of response.body ?? [])
      text += decoder.decode(chunk as Uint8Array, { stream: true })
    return { status: response.status, text, isWhole: true }
  } catch {
    return { status: response.status, text, isWhole: false }
  }
}

const bearer = ({ token }: { token: string }) => ({ authorization: `Bearer ${token}` })

const cookieOf = (browser: TestBrowser) => ({
  ...browser.page,
  cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
})

/** Requires a download that began and was visibly cut off. */
function requireCutOff(t: Test, { status, text, isWhole }: Awaited<ReturnType<typeof download>>) {
  t.equal(status, 200)
  t.ok(text.startsWith('{"exported_at"'), 'it began')
  t.notOk(isWhole, 'the response does not end as HTTP says')
  t.notOk(text.includes('"complete"'))
  t.ok(text.length < 700_000, `${text.length} characters: nothing is sent after the next part`)
  t.throws(() => JSON.parse(text))
}

/** How many of the downloads count. */
const countedOf = async ({ kysely }: TestDatabase): Promise<number[]> =>
  (
    await kysely.selectFrom('attempt_counts').select('attempts').where('key', 'like', 'exported:%').execute()
  ).map(({ attempts }) => attempts)

for (const engine of ENGINES) {
  t.test(`the stream of an export on ${engine}`, async t => {
    const real = await createDatabase(t, engine)
    t.teardown(() => real.close())
    const { database, hooks, beforeNextPage } = interruptible(real)
    const start = (options: Partial<Parameters<typeof startApp>[1]> = {}) =>
      startApp(t, { database, environment: UNLIMITED, ...options })
    const aUserWithMuch = async (): Promise<TestUser> => {
      const user = await aUser(real)
      await addNotifications(real, user, 1_000, 1_000)
      return user
    }

    await t.test('undisturbed it is whole', async t => {
      const app = await start()
      const user = await aUserWithMuch()
      const { text, isWhole } = await download(app, bearer(user))
      t.ok(isWhole)
      t.match(JSON.parse(text), { complete: true })
      t.equal(JSON.parse(text).notifications.length, 1_000)
    })

    const endings: [name: string, end: (user: TestUser) => Promise<unknown>][] = [
      [
        'the token is revoked',
        ({ tokenId }) => real.kysely.deleteFrom('personal_access_tokens').where('id', '=', tokenId).execute(),
      ],
      ['the user is banned', user => banFromEverything(real, user)],
      [
        'the user is deleted',
        ({ id }) =>
          real.kysely
            .updateTable('users')
            .set({ deleted_at: '2026-03-01 12:00:00' })
            .where('id', '=', id)
            .execute(),
      ],
      [
        'the token loses an ability',
        ({ tokenId }) =>
          real.kysely
            .updateTable('personal_access_tokens')
            .set({ abilities: '["read:me"]' })
            .where('id', '=', tokenId)
            .execute(),
      ],
    ]
    for (const [name, end] of endings) {
      await t.test(`it stops when ${name}`, async t => {
        const app = await start()
        const user = await aUserWithMuch()
        beforeNextPage(() => end(user))
        requireCutOff(t, await download(app, bearer(user)))
      })
    }

    await t.test('it stops when the session is logged out, or its password is changed', async t => {
      for (const end of [
        (browser: TestBrowser) => browser.post('/logout'),
        (_browser: TestBrowser, { id }: { id: number }) =>
          real.kysely.updateTable('users').set({ password: '!' }).where('id', '=', id).execute(),
      ]) {
        const app = await start()
        const { user, browser } = await aLoggedInUser(app, real, { confirmed: true })
        await addNotifications(real, user, 1_000, 1_000)
        const headers = cookieOf(browser)
        beforeNextPage(async () => end(browser, user))
        requireCutOff(t, await download(app, headers))
      }
    })

    await t.test('it stops when the database fails, and counts', async t => {
      const app = await start()
      const user = await aUserWithMuch()
      beforeNextPage(async () => {
        throw new DatabaseBusy('a test')
      })
      requireCutOff(t, await download(app, bearer(user)))
      t.strictSame(await countedOf(real), [1])
    })

    await t.test('it stops after an hour', async t => {
      const monotonic = testClock()
      const app = await start({ monotonic })
      const user = await aUserWithMuch()
      beforeNextPage(async () => monotonic.advance(HOUR + 1))
      requireCutOff(t, await download(app, bearer(user)))
    })

    await t.test('a failure before the first byte is an error response, and does not count', async t => {
      for (const [error, expected] of [
        [new DatabaseBusy('a test'), 503],
        [new Error('a test'), 500],
      ] as const) {
        const app = await startApp(t, {
          database: { ...real, list: () => Promise.reject(error) },
          environment: UNLIMITED,
        })
        const user = await aUser(real)
        const { status, headers, json } = await get(app, EXPORT_PATH, user.token)
        t.equal(status, expected)
        t.match(json, { message: String })
        t.equal(headers['content-disposition'], undefined)
        t.strictSame(await countedOf(real), [0])
        await app.events.drain()
        const events = await real.kysely
          .selectFrom('account_events')
          .select('event')
          .where('user_id', '=', user.id)
          .execute()
        t.strictSame(events, [])
      }
    })

    await t.test('a user whose authority ends before the first byte gets the error', async t => {
      const user = await aUser(real)
      let reads = 0
      const app = await startApp(t, {
        database: {
          ...real,
          async list(caller, work) {
            reads += 1
            if (reads === 1) {
              await real.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
            }
            return real.list(caller, work)
          },
        },
        environment: UNLIMITED,
      })
      const { status, json } = await get(app, EXPORT_PATH, user.token)
      t.strictSame([status, json], [401, { message: 'Unauthenticated.' }])
      t.strictSame(await countedOf(real), [0])
    })

    await t.test('a client that disconnects ends it', async t => {
      const app = await start()
      const user = await aUserWithMuch()
      const port = await listen(app)
      const socket = connect(port, '127.0.0.1')
      const serverSide = new Promise<void>(resolve => {
        beforeNextPage(async () => {
          socket.destroy()
          await until(async () => (await app.metrics.render()).text.includes('status="499"'))
          resolve()
        })
      })
      socket.write(
        `GET ${EXPORT_PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${user.token}\r\n\r\n`,
      )
      await serverSide
      const { reads } = hooks
      for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
      t.ok(hooks.reads <= reads + 1, 'it reads no more')
      t.strictSame(
        app.logged.filter(({ level }) => Number(level) >= 50),
        [],
      )
      t.equal((await get(app, '/api/me/token', user.token)).status, 200, 'lists are read as before')
    })

    await t.test('REQUEST_TIMEOUT does not end what has begun', async t => {
      const clock = testClock()
      const app = await start({ clock, environment: { ...UNLIMITED, REQUEST_TIMEOUT: '5' } })
      const user = await aUserWithMuch()
      beforeNextPage(async () => clock.advance(60_000))
      const { isWhole, text } = await download(app, bearer(user))
      t.ok(isWhole)
      t.match(JSON.parse(text), { complete: true })
    })

    await t.test('an export a day later counts anew', async t => {
      const app = await start({ environment: { ...UNLIMITED, EXPORT_DAILY_LIMIT: '1' } })
      const user = await aUser(real)
      t.equal((await download(app, bearer(user))).status, 200)
      app.clock.advance(DAY)
      t.equal((await download(app, bearer(user))).status, 200)
    })
  })
}

t.test('clients that do not read hold no connection', async t => {
  const real = await createDatabase(t, 'postgres')
  t.teardown(() => real.close())
  let held = 0
  let reads = 0
  const list: Database['list'] = async (caller, work) => {
    held += 1
    reads += 1
    try {
      return await real.list(caller, work)
    } finally {
      held -= 1
    }
  }
  const app = await startApp(t, { database: { ...real, list }, environment: UNLIMITED })
  const port = await listen(app)
  const users = await Promise.all([...Array(4)].map(() => aUser(real)))
  // More than the buffers of a connection hold.
  for (const user of users) await addNotifications(real, user, 1_000, 20_000)
  const sockets = users.map(({ token }) => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.pause()
    socket.write(`GET ${EXPORT_PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`)
    return socket
  })
  let [quiet, before] = [0, -1]
  await until(async () => {
    quiet = reads === before && reads > users.length && held === 0 ? quiet + 1 : 0
    before = reads
    await get(app, '/health')
    return quiet > 50
  })
  t.equal(held, 0, 'nothing is being read')
  const pages = real.statements.filter(text => /from "notifications"/.test(text)).length
  t.ok(pages < 4 * 6, `the downloads wait for their clients after ${pages} pages`)
  // As many as there are connections for lists.
  const other = { caller: null, isHeavy: false, signal: undefined }
  const barrier = { arrived: 0 }
  await Promise.all(
    [1, 2, 3].map(() =>
      real.list(other, async db => {
        await sql`select 1`.execute(db)
        barrier.arrived += 1
        await until(() => barrier.arrived === 3)
      }),
    ),
  )
  t.equal(barrier.arrived, 3, 'all connections for lists are free')

  const [first] = users as [TestUser, ...TestUser[]]
  await real.kysely.deleteFrom('personal_access_tokens').where('id', '=', first.tokenId).execute()
  let received = ''
  sockets[0]?.on('data', chunk => {
    received = (received + chunk.toString('latin1')).slice(-100)
  })
  const closed = new Promise(resolve => sockets[0]?.once('close', resolve))
  sockets[0]?.resume()
  await closed
  t.notMatch(received, /complete/, 'a token that was revoked while its client did not read gets no more')
})
