import t, { type Test } from 'tap'
import { banFromEverything, prohibit } from '../../../../fixtures/bans.ts'
import { aLoggedInUser, SPA, TestBrowser } from '../../../../fixtures/browser.ts'
import { DAY, HOUR } from '../../../../fixtures/clock.ts'
import { EXPORT_PATH } from '../../../../fixtures/data-export.ts'
import { addTracks, aNotification, anExternalProfile, aPlaylist } from '../../../../fixtures/lists.ts'
import { requestWith } from '../../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../../fixtures/settings.ts'
import { aMember, aToken, aUser, PASSWORD, type TestUser } from '../../../../fixtures/users.ts'
import { get, send, startApp, type TestApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../../support/databases.ts'

const READ = ['read:me', 'read:playlist', 'read:externalprofile', 'read:notification', 'read:token']

/** The downloads of a user that count. */
const countedOf = async ({ kysely }: TestDatabase): Promise<number> =>
  (await kysely.selectFrom('attempt_counts').select('attempts').where('key', 'like', 'exported:%').execute())
    .map(({ attempts }) => attempts)
    .reduce((sum, one) => sum + one, 0)

/** The names of a user's stored events. */
async function eventsOf(app: TestApp, { kysely }: TestDatabase, { id }: { id: number }): Promise<string[]> {
  await app.events.drain()
  const rows = await kysely.selectFrom('account_events').select('event').where('user_id', '=', id).execute()
  return rows.map(({ event }) => event)
}

for (const engine of ENGINES) {
  t.test(`GET /me/export on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const start = (environment: Record<string, string> = {}, keepsAttempts = false) =>
      startApp(t, { database, environment: { ...UNLIMITED, ...environment }, keepsAttempts })
    await testContent(t, database, start)
    await testAccess(t, database, start)
    await testLimit(t, database, start)
  })
}

type Start = (environment?: Record<string, string>, keepsAttempts?: boolean) => Promise<TestApp>

async function testContent(t: Test, database: TestDatabase, start: Start) {
  await t.test('it is a file with the account and everything that belongs to it', async t => {
    const app = await start()
    const user = await aUser(database, { roles: ['Patron'], permissions: ['view playlist'] })
    await prohibit(database, user, 'create playlist', '2026-04-01 00:00:00')
    const playlist = await aPlaylist(database, user.id, { name: 'Best "OPs"', visibility: 1 })
    const tracks = await addTracks(database, playlist.id, [1, null])
    await aPlaylist(database, user.id, { name: 'Empty', createdAt: '2026-02-02 00:00:00' })
    const profile = await anExternalProfile(database, user.id, { site: 1, visibility: 1 })
    await database.kysely
      .insertInto('external_entries')
      .values({ profile_id: profile, status: 1, score: 8.5, is_favorite: true, anime_id: 7 })
      .execute()
    await database.kysely
      .insertInto('external_tokens')
      .values({
        profile_id: profile,
        access_token: 'a',
        refresh_token: 'b',
        created_at: '2026-01-05 00:00:00',
      })
      .execute()
    await aNotification(database, user.id, { data: '{"a":1}', createdAt: null })
    await aNotification(database, user.id, { data: 'no JSON' })
    await database.kysely
      .insertInto('pending_email_changes')
      .values({
        user_id: user.id,
        email: 'new@example.org',
        requested_at: '2026-02-28 00:00:00',
        had_second_factor: false,
      })
      .execute()
    await database.kysely
      .insertInto('second_factor_steps')
      .values({ user_id: user.id, step: Date.UTC(2026, 0, 1) / 30_000 })
      .execute()

    const { status, headers, json } = await get(app, EXPORT_PATH, user.token)
    t.equal(status, 200)
    t.match(headers, {
      'content-type': /^application\/json/,
      'content-disposition': 'attachment; filename="animethemes-export-2026-03-01.json"',
      'cache-control': 'no-store, private',
    })
    t.match(json, {
      exported_at: '2026-03-01T12:00:00.000000Z',
      account: {
        id: user.id,
        name: user.name,
        email: user.email,
        email_verified_at: '2026-03-01T12:00:00.000000Z',
        has_two_factor_secret: false,
        two_factor_confirmed_at: null,
      },
      pending_email_change: { email: 'new@example.org', requested_at: '2026-02-28T00:00:00.000000Z' },
      email_change: null,
      password_reset: null,
      last_two_factor_code: { used_at: '2026-01-01T00:00:00.000000Z' },
      roles: [{ name: 'Patron', permissions: [String] }],
      permissions: [{ name: 'view playlist' }],
      prohibitions: [{ name: 'create playlist', reason: null, expires_at: '2026-04-01T00:00:00.000000Z' }],
      sanctions: [],
      playlists: [
        {
          id: playlist.hashid,
          name: 'Best "OPs"',
          visibility: 'Private',
          created_at: '2026-02-01T00:00:00.000000Z',
          tracks: [
            { id: tracks[0]?.hashid, position: 1, entry_id: 1, video_id: 1 },
            { id: tracks[1]?.hashid, position: 2, entry_id: null, video_id: null },
          ],
        },
        { name: 'Empty', tracks: [] },
      ],
      external_profiles: [
        {
          id: profile,
          site: 'AniList',
          visibility: 'Private',
          site_token: { created_at: '2026-01-05T00:00:00.000000Z' },
          entries: [{ status: 'Completed', score: 8.5, is_favorite: true, anime_id: 7 }],
        },
      ],
      tokens: [{ id: user.tokenId, name: 'test', abilities: ['*'], allowed_ips: null }],
      notifications: [{ data: { a: 1 }, created_at: null }, { data: 'no JSON' }],
      complete: true,
    })
    t.equal(Object.keys(json).at(-1), 'complete')
  })

  await t.test('more rows than a statement returns are exported once each', async t => {
    const app = await start()
    const user = await aUser(database)
    const { kysely } = database
    const playlist = await aPlaylist(database, user.id)
    const count = [...Array(601).keys()]
    await kysely
      .insertInto('playlist_tracks')
      .values(
        count.map(index => ({
          playlist_id: playlist.id,
          position: index + 1,
          hashid: `${engineSafe(user)}-${index}`,
        })),
      )
      .execute()
    await kysely
      .insertInto('account_events')
      // Many have the same date.
      .values(
        count.map(index => ({
          user_id: user.id,
          event: `event ${index}`,
          details: index === 0 ? '{"by":7,"reason":"spam"}' : '{"by":"command line"}',
          created_at: `2026-01-0${(index % 3) + 1} 00:00:00`,
        })),
      )
      .execute()
    for (const index of [...Array(502).keys()]) {
      await aNotification(database, user.id, {
        data: `${index}`,
        createdAt: index % 2 === 0 ? null : '2026-01-01 00:00:00',
      })
    }
    const { json } = await get(app, EXPORT_PATH, user.token)
    const sorted = (values: number[]) => values.toSorted((one, two) => one - two)
    t.strictSame(
      json.playlists[0].tracks.map((one: { position: number }) => one.position),
      count.map(index => index + 1),
    )
    t.strictSame(sorted(json.activities.map((one: { event: string }) => Number(one.event.slice(6)))), count)
    const detailsOf = (name: string) =>
      json.activities.find(({ event }: { event: string }) => event === name).details
    t.strictSame(detailsOf('event 0'), { reason: 'spam' }, 'another person is left out')
    t.strictSame(detailsOf('event 1'), { by: 'command line' })
    t.strictSame(sorted(json.notifications.map((one: { data: number }) => one.data)), [...Array(502).keys()])
  })

  await t.test('sessions and devices are listed without ids and secrets of their cookies', async t => {
    const app = await start()
    const user = await aMember(database)
    const browser = new TestBrowser(app, { referer: `${SPA}/`, 'user-agent': 'Phone/1' })
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { email: user.email, password: user.password, remember: true })
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await app.lastUse.flush()
    const { status, json, text } = await browser.get(EXPORT_PATH)
    t.equal(status, 200)
    t.match(json.sessions, [
      {
        ip_address: '127.0.0.1',
        user_agent: 'Phone/1',
        created_at: '2026-03-01T12:00:00.000000Z',
        password_confirmed_at: '2026-03-01T12:00:00.000000Z',
        is_remembered: true,
        last_active_at: '2026-03-01T12:00:00.000000Z',
      },
    ])
    t.match(json.remembered_devices, [{ user_agent: 'Phone/1', ip_address: '127.0.0.1' }])
    for (const secret of [...browser.cookies.values()].flatMap(value => value.split(/[.|%]/))) {
      if (secret.length > 8) t.notOk(text.includes(secret), 'no part of a cookie')
    }
  })
}

/** A prefix of ids that is unique to a user. */
const engineSafe = ({ id }: TestUser) => `track-of-${id}`

async function testAccess(t: Test, database: TestDatabase, start: Start) {
  await t.test('a session needs a confirmed password', async t => {
    const app = await start({ SESSION_LIFETIME: '600' })
    const { browser } = await aLoggedInUser(app, database)
    t.equal((await browser.get(EXPORT_PATH)).status, 423)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    t.equal((await browser.get(EXPORT_PATH)).status, 200)
    app.clock.advance(3 * HOUR + 1_000)
    t.equal((await browser.get(EXPORT_PATH)).status, 423)
  })

  await t.test('a token needs all abilities to read', async t => {
    const app = await start()
    const user = await aUser(database)
    const statusWith = async (abilities: string[]) => {
      const { token } = await aToken(database, user.id, { abilities })
      return (await get(app, EXPORT_PATH, token)).status
    }
    for (const missing of READ) {
      t.equal(
        await statusWith([...READ.filter(one => one !== missing), 'write:me']),
        403,
        `without ${missing}`,
      )
    }
    t.equal(await statusWith([]), 403)
    t.equal(await countedOf(database), 0, 'refusals do not count')
    t.equal(await statusWith(READ), 200)
    t.equal(await statusWith(['*']), 200)
  })

  await t.test('guests, banned users and deleted users are refused', async t => {
    const app = await start()
    t.equal((await get(app, EXPORT_PATH)).status, 401)
    const banned = await aUser(database)
    await banFromEverything(database, banned)
    t.equal((await get(app, EXPORT_PATH, banned.token)).status, 403)
    const deleted = await aUser(database)
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-02-01 00:00:00' })
      .where('id', '=', deleted.id)
      .execute()
    t.equal((await get(app, EXPORT_PATH, deleted.token)).status, 401)
    t.equal(await countedOf(database), 0)
  })

  await t.test('an unverified address is no obstacle, a missing second factor is', async t => {
    const app = await start({ REQUIRE_SECOND_FACTOR: 'all' })
    const user = await aUser(database, { verified: false })
    t.equal((await get(app, EXPORT_PATH, user.token)).status, 403)
    t.equal((await get(await start(), EXPORT_PATH, user.token)).status, 200)
  })

  await t.test('a page of another site neither gets the data nor uses up a download', async t => {
    const app = await start()
    const { user, browser } = await aLoggedInUser(app, database, { confirmed: true })
    for (const page of [
      { referer: 'https://evil.example/', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
      { referer: 'https://evil.example/' },
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' },
      {},
    ] as Record<string, string>[]) {
      browser.page = page
      const { status, headers } = await browser.bare('GET', EXPORT_PATH)
      t.equal(status, 401, JSON.stringify(page))
      t.equal(headers['access-control-allow-origin'], undefined)
    }
    t.equal(await countedOf(database), 0)
    t.notOk((await eventsOf(app, database, user)).includes('data exported'))
  })

  await t.test('a page of a first party can read it', async t => {
    const app = await start()
    const { browser } = await aLoggedInUser(app, database, { confirmed: true })
    browser.page = { origin: SPA }
    const { status, headers } = await browser.bare('GET', EXPORT_PATH)
    t.equal(status, 200)
    t.match(headers, { 'access-control-allow-origin': SPA, 'access-control-allow-credentials': 'true' })
  })
}

async function testLimit(t: Test, database: TestDatabase, start: Start) {
  await t.test('a user has five downloads a day, over all instances', async t => {
    const [app, second] = [await start(), await start({}, true)]
    const [user, other] = [await aUser(database), await aUser(database)]
    const statuses = await Promise.all(
      [...Array(10).keys()].map(
        async index => (await get(index % 2 === 0 ? app : second, EXPORT_PATH, user.token)).status,
      ),
    )
    t.strictSame(statuses.toSorted(), [200, 200, 200, 200, 200, 429, 429, 429, 429, 429])
    const { status, headers, json } = await get(second, EXPORT_PATH, user.token)
    t.match([status, headers['retry-after'], json], [429, 86_400, { message: 'Too Many Attempts.' }])
    t.equal((await get(app, EXPORT_PATH, other.token)).status, 200, 'another user has others')
    app.clock.advance(DAY - 1_000)
    await app.attemptCounts.prune()
    t.equal((await get(app, EXPORT_PATH, user.token)).status, 429)
    app.clock.advance(1_000)
    t.equal((await get(app, EXPORT_PATH, user.token)).status, 200)
  })

  await t.test('EXPORT_DAILY_LIMIT is the number of downloads', async t => {
    const app = await start({ EXPORT_DAILY_LIMIT: '1' })
    const user = await aUser(database)
    t.equal((await get(app, EXPORT_PATH, user.token)).status, 200)
    t.equal((await get(app, EXPORT_PATH, user.token)).status, 429)
  })

  await t.test('HEAD has the headers, and neither counts nor is recorded', async t => {
    const app = await start()
    const user = await aUser(database)
    const { status, headers, text } = await requestWith(app, user.token)('HEAD', EXPORT_PATH)
    t.match([status, text], [200, ''])
    t.match(headers['content-disposition'], /^attachment; filename="animethemes-export-/)
    t.equal(await countedOf(database), 0)
    t.strictSame(await eventsOf(app, database, user), [])
    t.equal((await send(app, 'HEAD', EXPORT_PATH)).status, 401)
  })

  await t.test('a download is an event, and the user is told by mail', async t => {
    const app = await start()
    const user = await aUser(database)
    await get(app, EXPORT_PATH, user.token, { 'user-agent': 'curl/8' })
    t.strictSame(await eventsOf(app, database, user), ['data exported'])
    const mail = await app.mailbox.nextTo(user.email)
    t.match(mail, { subject: /data of your .* account was downloaded/ })
    t.match(JSON.stringify(mail), /not-me/)
  })
}
