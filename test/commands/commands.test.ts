import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { sql } from 'kysely'
import t from 'tap'
import { verifyPassword } from '#src/auth/password.ts'
import { program } from '#src/commands/program.ts'
import { askSecretly } from '#src/commands/terminal.ts'
import { deleteUser } from '#src/database/deleted-users.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { addTracks, aPlaylist, chainOf, PANEL_NOTIFICATION, SYNCED } from '../fixtures/lists.ts'
import { aToken, aUser, USER_TYPE } from '../fixtures/users.ts'
import { get, send, startApp, TEST_KEY } from '../support/app.ts'
import { run } from '../support/processes.ts'

const similarTo = (what: string) =>
  `The password is too similar to ${what}. Please choose a different password.`

t.test('user password', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database, { password: 'the old one' })
  const app = await startApp(t as never, { database })
  const browser = new TestBrowser(app)
  await browser.logIn({ email: user.email, password: 'the old one' })
  const set = (email: string, password: string) =>
    command('user', 'password', '--email', email, '--password', password)
  const { out, error } = await set(user.email.toUpperCase(), 'Another-horse-2')
  t.equal(error, null)
  t.match(out, [/has a new password\. All sessions are over; tokens go on\.$/])
  t.equal((await browser.get('/api/me')).status, 401)
  t.equal((await get(app, '/api/me', user.token)).status, 200)
  t.equal((await browser.post('/login', { email: user.email, password: 'the old one' })).status, 422)
  t.equal((await browser.post('/login', { email: user.email, password: 'Another-horse-2' })).status, 200)
  t.match((await set('nobody@example.org', 'x')).error, 'There is no user with the e-mail address nobody')
  t.match((await set(user.email, 'x'.repeat(73))).error, 'The password must not be longer than 72 bytes.')
  t.equal((await set(user.email, `${user.name}-2024!`)).error, similarTo('your name'))
})

t.test('where a new password comes from', async t => {
  const { database, commandIn } = await commandLine(t as never)
  const user = await aUser(database, { password: 'the old one' })
  const set = (world: Parameters<typeof commandIn>[0], ...args: string[]) =>
    commandIn(world, 'user', 'password', '--email', user.email, ...args)
  const isNow = async (password: string) => {
    const rows = database.kysely.selectFrom('users').select('password').where('id', '=', user.id)
    return verifyPassword(password, (await rows.executeTakeFirstOrThrow()).password)
  }
  /** A terminal on which somebody types lines. */
  const terminal = (...lines: string[]) => {
    const asked: string[] = []
    const askSecretly = async (question: string) => {
      asked.push(question)
      return lines.shift() ?? ''
    }
    return { asked, askSecretly }
  }
  const piped = (input: string) => ({ readInput: async () => input })

  await t.test('a terminal, where it is asked for twice', async t => {
    const { asked, askSecretly } = terminal('Typed-horse-1', 'Typed-horse-1')
    const { error, err } = await set({ askSecretly })
    t.equal(error, null)
    t.strictSame(err, [], 'and nothing is to be warned of')
    t.strictSame(asked, ['New password: ', 'New password, once more: '])
    t.ok(await isNow('Typed-horse-1'))
    const other = await set({ askSecretly: terminal('Typed-horse-2', 'Typed-horse-3').askSecretly })
    t.equal(other.error, 'The password confirmation does not match.')
    const common = await set({ askSecretly: terminal('P@ssw0rd2024!', 'P@ssw0rd2024!').askSecretly })
    t.equal(common.error, 'The password is too common. Please choose a different password.')
    t.ok(await isNow('Typed-horse-1'), 'it stays as it was')
  })

  await t.test('standard input, as one line', async t => {
    for (const [input, password] of [
      ['Piped-horse-1', 'Piped-horse-1'],
      ['Piped-horse-2\n', 'Piped-horse-2'],
      ['Piped-horse-3\r\n', 'Piped-horse-3'],
      [' Piped horse 4 \n', ' Piped horse 4 '],
    ] as const) {
      const { error, err } = await set(piped(input), '--password-stdin')
      t.equal(error, null)
      t.strictSame(err, [])
      t.ok(await isNow(password), JSON.stringify(input))
    }
    t.equal((await set(piped('Piped-horse-5\n'), '--password', '-')).error, null, 'as it was said before')
    t.ok(await isNow('Piped-horse-5'))
    for (const [input, message] of [
      ['', 'The password field is required.'],
      ['\n', 'The password field is required.'],
      ['Piped-horse-6\nmore\n', '--password-stdin: expected one line, and there are more.'],
      ['1qaz2wsx3edc4rfv', 'The password is too common. Please choose a different password.'],
    ] as const) {
      t.equal((await set(piped(input), '--password-stdin')).error, message)
    }
    t.ok(await isNow('Piped-horse-5'))
  })

  await t.test('an option, with a warning', async t => {
    const { error, err } = await set({}, '--password', 'Given-horse-1')
    t.equal(error, null)
    t.match(err, [/^warning: .*list of processes.*history of the shell.*--password-stdin/])
    t.notMatch(err.join(), 'Given-horse-1')
    t.ok(await isNow('Given-horse-1'))
    t.match(
      (await set(piped('Piped-horse-7'), '--password-stdin', '--password', 'Given-horse-2')).error,
      /cannot be used with option '--password/,
    )
  })

  await t.test('and nowhere else', async t => {
    const { error } = await set({})
    t.match(error, /^error: no password: run this on a terminal .* or send it to --password-stdin\.$/)
    const created = await commandIn({}, 'user', 'create', '--name', 'zoe', '--email', 'zoe@example.org')
    t.equal(created.error, error)
    t.ok(await isNow('Given-horse-1'))
  })
})

t.test('a line that is typed on a terminal is not shown', async t => {
  const ask = (...keys: string[]) => {
    const input = new PassThrough()
    const shown: string[] = []
    const output = new Writable({
      write(chunk, _encoding, done) {
        shown.push(String(chunk))
        done()
      },
    })
    const answer = askSecretly('New password: ', input, output)
    for (const key of keys) input.write(key)
    return { input, shown, answer }
  }
  const typed = ask('sec', 'x', '\x7f', 'ret\r')
  t.equal(await typed.answer, 'secret', 'and can be mended')
  t.strictSame(typed.shown, ['New password: ', '\n'])
  t.equal(await ask('\x15pässwörd 日本\n').answer, 'pässwörd 日本')
  for (const end of ['\x03', '\x04']) await t.rejects(ask(end).answer, /^No password was entered\.$/)
  const ended = ask()
  ended.input.end()
  await t.rejects(ended.answer, /^No password was entered\.$/)
})

t.test('user two-factor-disable', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database, { password: 'the password' })
  await database.kysely
    .updateTable('users')
    .set({ two_factor_secret: 'lost', two_factor_confirmed_at: '2026-01-01 00:00:00' })
    .where('id', '=', user.id)
    .execute()
  const app = await startApp(t as never, { database })
  const logIn = async () =>
    (await new TestBrowser(app).logIn({ email: user.email, password: 'the password' })).json
  const disable = (email: string) => command('user', 'two-factor-disable', '--email', email)
  t.strictSame(await logIn(), { two_factor: true })
  t.match((await disable(user.email)).out, [/has no second factor any more/])
  t.strictSame(await logIn(), { two_factor: false })
  t.match((await disable(user.email)).out, [/has no second factor\.$/])
  t.match((await disable('nobody@example.org')).error, 'There is no user with the e-mail address nobody')
})

t.test('token rotate', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database)
  const app = await startApp(t as never, { database })
  const status = async (token: string) => (await get(app, '/api/me', token)).status
  const { out } = await command('token', 'rotate', String(user.tokenId), '--grace', '60')
  const [next = ''] = out
  t.match(next, /^\d+\|[A-Za-z0-9]{48}$/)
  t.strictSame([await status(user.token), await status(next)], [200, 200])
  const [id = ''] = next.split('|')
  const { out: last } = await command('token', 'rotate', id)
  t.strictSame([await status(next), await status(last[0] ?? '')], [401, 200])
  for (const id of ['4711000', 'x', '-'])
    t.match((await command('token', 'rotate', id)).error, /There is no token/)
})

t.test('session list and end, and activity', async t => {
  const { database, command } = await commandLine(t as never)
  const user = { ...(await aUser(database, { password: 'the password' })), password: 'the password' }
  const app = await startApp(t as never, { database })
  const logIn = async (agent: string) => {
    const browser = new TestBrowser(app)
    browser.page = { ...browser.page, 'user-agent': agent }
    await browser.logIn(user)
    return browser
  }
  const [phone, tablet, desk] = [
    await logIn('Phone/1'),
    await logIn('Tablet\u009b31m'),
    await logIn('Desk/1'),
  ]
  const isIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200
  const { out } = await command('session', 'list', '--email', user.email)
  t.equal(out.length, 4)
  t.match(out[0], /^ID +LAST ACTIVE +REMEMBERED +ADDRESS +PROGRAM$/)
  t.ok(
    out.some(line => line.includes('Tablet?31m')),
    'nothing steers the terminal',
  )
  const [id = ''] = (out.find(line => line.includes('Phone/1')) ?? '').split(' ')
  t.match((await command('session', 'end', id, '--email', user.email)).out, [`Logged out ${id}.`])
  t.strictSame([await isIn(phone), await isIn(tablet)], [false, true])
  t.match(
    (await command('session', 'end', id, '--email', user.email)).error,
    `${user.email} has no browser ${id}.`,
  )
  t.match(
    (await command('session', 'end', '--email', user.email)).error,
    /give either the ID of a browser, or --all/,
  )
  await command('session', 'end', '--all', '--email', user.email)
  t.strictSame([await isIn(tablet), await isIn(desk)], [false, false])

  await command('role', 'grant', '--email', user.email, '--role', 'Admin')
  await app.events.stored()
  const { out: events } = await command('activity', '--email', user.email, '--most', '4')
  t.match(events[0], /^AT +EVENT +ADDRESS +PROGRAM +DETAILS$/)
  t.match(events.slice(1).join('\n'), /role granted +- +- +\{"name":"Admin","by":"command line"\}/)
  t.match(events.slice(1).join('\n'), /session ended .*"which":"all"/)
  t.equal(events.length, 5)
})

t.test('notification send', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database, { permissions: ['view notification'] })
  const app = await startApp(t as never, { database })
  const notify = (email: string, type: string, data: string) =>
    command('notification', 'send', '--email', email, '--type', type, '--data', data)
  const data = '{"profileId":3,"profileName":"alice"}'
  const { out, error } = await notify(user.email.toUpperCase(), SYNCED, data)
  t.equal(error, null)
  const { json } = await get(
    app,
    '/api/me/notification?fields[notification]=id,data,read_at,created_at',
    user.token,
  )
  t.strictSame(json.notifications, [
    {
      created_at: '2026-03-01T12:00:00.000000Z',
      id: /[0-9a-f-]{36}/.exec(out[0] ?? '')?.[0],
      data: { profileId: 3, profileName: 'alice' },
      read_at: null,
    },
  ])
  t.match(
    (await notify('nobody@example.org', SYNCED, data)).error,
    'There is no user with the e-mail address',
  )
  for (const [type, wrong, expected] of [
    ['no class', data, '--type'],
    [PANEL_NOTIFICATION, data, '--type'],
    ['x'.repeat(256), data, '--type'],
    [SYNCED, '[]', '--data'],
    [SYNCED, '"text"', '--data'],
    [SYNCED, '{', '--data'],
    [SYNCED, `{"a":"${'x'.repeat(10_000)}"}`, '--data'],
  ] as const) {
    const { err, error } = await notify(user.email, type, wrong)
    t.match(error, expected)
    t.match(err, [expected])
  }
  t.equal((await get(app, '/api/me/notification', user.token)).json.notifications.length, 1)
})

t.test('feature', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database, { permissions: ['create playlist'] })
  const app = await startApp(t as never, { database })
  const create = async () =>
    (
      await send(app, 'POST', '/api/playlist?name=a&visibility=public', {
        headers: { authorization: `Bearer ${user.token}` },
      })
    ).status
  const states = async () => (await command('feature', 'list')).out.slice(1).map(line => line.split(/ +/))
  t.equal(await create(), 201, 'on unless turned off')
  t.strictSame(await states(), [
    ['playlists', 'on'],
    ['externalprofiles', 'on'],
  ])
  t.strictSame((await command('feature', 'off', 'playlists')).out, ['Turned off: playlists.'])
  t.equal(await create(), 403, 'at once')
  t.strictSame(await states(), [
    ['playlists', 'off'],
    ['externalprofiles', 'on'],
  ])
  await command('feature', 'on', 'playlists')
  t.equal(await create(), 201)
  for (const [value, status] of [
    ['false', 403],
    ['true', 201],
    ['', 403],
    ['nonsense', 403],
  ] as const) {
    await database.kysely.updateTable('features').set({ value }).execute()
    t.equal(await create(), status, `${value} in the row`)
  }
  t.match(
    (await command('feature', 'off', 'everything')).error,
    /Allowed choices are playlists, externalprofiles/,
  )
})

t.test('playlist repair', async t => {
  const { database, command } = await commandLine(t as never)
  const { kysely } = database
  const { id: userId } = await aUser(database)
  const repair = async () => (await command('playlist', 'repair')).out
  const make = async () => {
    const { id } = await aPlaylist(database, userId)
    const tracks = await addTracks(database, id, [1, 2, 3, 4])
    const order = (...places: number[]) => places.map(place => tracks[place]?.hashid)
    return { id, ids: tracks.map(track => track.id), order }
  }
  const [fine, flat, crossed, cut, headless] = [
    await make(),
    await make(),
    await make(),
    await make(),
    await make(),
  ]
  const set = (id: number | undefined, values: object) =>
    kysely.updateTable('playlist_tracks').set(values).where('track_id', '=', Number(id)).execute()
  const setEnds = (id: number, values: object) =>
    kysely.updateTable('playlists').set(values).where('playlist_id', '=', id).execute()

  await aPlaylist(database, userId)
  t.strictSame(await repair(), ['All playlists are in order.'])
  await kysely
    .updateTable('playlist_tracks')
    .set({ position: 1 })
    .where('playlist_id', '=', flat.id)
    .execute()
  await set(crossed.ids[0], { next_id: crossed.ids[2] })
  await set(crossed.ids[2], { next_id: crossed.ids[0] })
  await set(cut.ids[1], { next_id: null })
  await setEnds(headless.id, { first_id: null, last_id: headless.ids[0] })
  await t.rejects(chainOf(database, crossed.id))

  t.strictSame(await repair(), ['Repaired 4 playlists.'])
  t.strictSame(await chainOf(database, fine.id), fine.order(0, 1, 2, 3))
  t.strictSame(await chainOf(database, flat.id), flat.order(0, 1, 2, 3), 'as it is linked')
  t.strictSame(
    await chainOf(database, crossed.id),
    crossed.order(0, 2, 1, 3),
    'what no link leads to is last',
  )
  t.strictSame(await chainOf(database, cut.id), cut.order(0, 1, 2, 3))
  t.strictSame(await chainOf(database, headless.id), headless.order(0, 1, 2, 3))
  t.strictSame(await repair(), ['All playlists are in order.'], 'once is enough')
  await set(cut.ids[3], { position: 9 })
  t.strictSame(await repair(), ['Repaired 1 playlist.'])
})

t.test('doctor', async t => {
  const doctor = async (settings: Record<string, string>, ...args: string[]) => {
    const out: string[] = []
    let error: Error | null = null
    try {
      await program({
        environment: settings,
        print: line => out.push(line),
        warn: line => out.push(line),
        readInput: async () => '',
        askSecretly: null,
        clock: () => NOW,
        random: randomBytes,
      }).parseAsync(['node', 'animethemes-auth', 'doctor', ...args])
    } catch (thrown) {
      error = thrown as Error
    }
    return { out: out.join('\n'), error: error?.message ?? null }
  }
  const PRODUCTION = { APP_URL: 'https://api.example.org', APP_ENV: 'local' }

  for (const [name, settings, origin, expected] of [
    ['the standard case', {}, 'http://localhost:3000', []],
    ['a page of our own', {}, 'http://localhost:8000', []],
    [
      'the other name of this machine',
      {},
      'http://127.0.0.1:3000',
      [/127\.0\.0\.1:3000 is not a first party/, /CORS keeps/],
    ],
    [
      'one domain for both',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org', SESSION_DOMAIN: '.example.org' },
      'https://www.example.org',
      [],
    ],
    [
      'without SESSION_DOMAIN',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org' },
      'https://www.example.org',
      [/cannot read the cookie XSRF-TOKEN, .* 419\. Set SESSION_DOMAIN=\.example\.org\./],
    ],
    [
      'over plain HTTP',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'http://www.example.org', SESSION_DOMAIN: '.example.org' },
      'http://www.example.org',
      [/are of different sites: with SESSION_SAME_SITE=lax the browser sends no cookies along/],
    ],
    [
      'another domain',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'spa.test' },
      'https://spa.test',
      [/are of different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'another domain, with SameSite=None',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'spa.test', SESSION_SAME_SITE: 'none' },
      'https://spa.test',
      [/third-party cookies, which Safari and Firefox block/, /cannot read/],
    ],
    [
      'a public suffix is no domain',
      { APP_URL: 'https://api.co.uk', SANCTUM_STATEFUL_DOMAINS: 'www.co.uk' },
      'https://www.co.uk',
      [/are of different sites/, /cannot read/],
    ],
    [
      'https that calls http',
      {
        APP_URL: 'http://api.example.org',
        SANCTUM_STATEFUL_DOMAINS: 'https://www.example.org',
        SESSION_DOMAIN: 'example.org',
      },
      'https://www.example.org',
      [/mixed content/, /are of different sites/],
    ],
    [
      'cookies for HTTPS alone, without HTTPS',
      { APP_URL: 'http://localhost:8000', SESSION_SECURE_COOKIE: 'true' },
      'http://localhost:3000',
      [/is for HTTPS alone, and http:\/\/localhost:8000 is not/],
    ],
    [
      'origin-only elsewhere',
      { CSRF_MODE: 'origin-only' },
      'http://localhost:3000',
      [/every change is answered 403/],
    ],
    [
      'an origin that CORS names, and nothing else',
      { CORS_ALLOWED_ORIGINS: 'http://localhost:4000' },
      'http://localhost:4000',
      [/not a first party/],
    ],
    [
      'a private suffix is no domain either',
      { APP_URL: 'https://a.github.io', SANCTUM_STATEFUL_DOMAINS: 'b.github.io' },
      'https://b.github.io',
      [/are of different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'cookies for plain HTTP as well',
      { ...PRODUCTION, SESSION_SECURE_COOKIE: 'false' },
      'https://api.example.org',
      [/is not for HTTPS alone/],
    ],
    [
      'a domain that ends like the other',
      { APP_URL: 'https://evilexample.org', SANCTUM_STATEFUL_DOMAINS: 'www.example.org' },
      'https://www.example.org',
      [/are of different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'https that calls this machine',
      { SANCTUM_STATEFUL_DOMAINS: 'https://localhost:3000' },
      'https://localhost:3000',
      [/are of different sites/],
    ],
    [
      'a scheme that is not meant',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org', SESSION_DOMAIN: '.example.org' },
      'http://www.example.org',
      [/Add http:\/\/www\.example\.org to SANCTUM_STATEFUL_DOMAINS/, /CORS keeps/, /are of different sites/],
    ],
    [
      'the same origin, of which browsers do not tell',
      { APP_URL: 'http://192.168.1.5:8000' },
      'http://192.168.1.5:8000',
      [],
    ],
    [
      'no CORS with cookies',
      { CORS_ALLOWED_ORIGINS: '*' },
      'http://localhost:4000',
      [/not a first party/, /not to calls with cookies/],
    ],
  ] as const) {
    const { out, error } = await doctor(settings as unknown as Record<string, string>, '--origin', origin)
    const problems = out.split('\n').filter(line => line.startsWith('  ✗'))
    t.equal(problems.length, expected.length, `${name}:\n${out}`)
    for (const [index, pattern] of expected.entries()) t.match(problems[index], pattern, name)
    t.equal(error === null, expected.length === 0, name)
  }

  const { out } = await doctor({}, '--origin', 'http://localhost:3000')
  t.match(out, /^A page on http:\/\/localhost:3000 that calls http:\/\/localhost:8000:$/m)
  t.match(out, 'then POST http://localhost:8000/login.')
  const names = await doctor({}, '--origin', 'http://127.0.0.1:3000', '--api', 'http://localhost:8000')
  t.match(names.out, 'Let the page call http://127.0.0.1:8000.')
  t.match(
    (
      await doctor(
        { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'api.example.org' },
        '--origin',
        'https://api.example.org',
      )
    ).out,
    'CORS plays no part',
  )
  t.match(
    (
      await doctor(
        {
          ...PRODUCTION,
          SESSION_DOMAIN: 'example.org',
          SANCTUM_STATEFUL_DOMAINS: '*.example.org,http://*.example.org',
        },
        '--origin',
        'https://a.example.org',
      )
    ).out,
    'http://a.example.org is one as well',
  )
  t.match(
    (await doctor({ APP_URL: 'http://192.168.1.5:8000' }, '--origin', 'http://192.168.1.5:8000')).out,
    'have to send its value as the header X-XSRF-TOKEN',
    'where browsers do not say that a page is of the same origin',
  )
  const pinned = {
    ...PRODUCTION,
    SESSION_DOMAIN: 'example.org',
    SANCTUM_STATEFUL_DOMAINS: 'https://a.example.org',
  }
  t.notMatch((await doctor(pinned, '--origin', 'https://a.example.org')).out, 'is one as well')
  t.match(
    (await doctor({ APP_URL: 'http://api.example.org' }, '--origin', 'http://api.example.org')).out,
    'goes over plain HTTP: anybody on the way can read it',
  )
  t.match(
    (await doctor({ APP_URL: 'http://localhost:8000' }, '--origin', 'https://www.example.org')).out,
    /^A page on https:\/\/www\.example\.org that calls http:\/\/localhost:8000:$/m,
  )
  t.notMatch(
    (await doctor({}, '--origin', 'https://127.0.0.1:3000', '--api', 'http://localhost:8000')).out,
    'Let the page call',
  )
  const onMachine = {
    APP_URL: 'http://localhost:8000',
    SESSION_DOMAIN: 'localhost',
    SANCTUM_STATEFUL_DOMAINS: '127.0.0.1:3000',
  }
  t.match(
    (await doctor(onMachine, '--origin', 'http://127.0.0.1:3000')).out,
    '✗ SESSION_DOMAIN=localhost does not have 127.0.0.1: browsers refuse the cookies',
  )
  const live = {
    APP_ENV: 'production',
    APP_URL: 'https://api.example.org',
    DATABASE_URL: 'postgres://127.0.0.1/x',
    APP_KEY: TEST_KEY,
    SANCTUM_STATEFUL_DOMAINS: '*.example.org',
    SESSION_DOMAIN: '.example.org',
  }
  const atOther = ['--origin', 'https://app.example.org', '--api', 'https://api2.example.org']
  t.match((await doctor(live, ...atOther)).out, '✗ api2.example.org is neither APP_URL')
  t.equal((await doctor({ ...live, APP_HOSTS: 'api2.example.org' }, ...atOther)).error, null)
  for (const wrong of ['localhost:3000', 'http://localhost:3000/path', 'ftp://a', 'http://a?b']) {
    t.match((await doctor({}, '--origin', wrong)).error, 'expected an origin such as http://localhost:3000')
  }
})

t.test('user create', async t => {
  const { database, command } = await commandLine(t as never)
  const rolesOf = async (email: string) =>
    (
      await database.kysely
        .selectFrom('users')
        .innerJoin('model_has_roles', 'model_id', 'users.id')
        .innerJoin('roles', 'roles.id', 'role_id')
        .select('roles.name')
        .where('email', '=', email)
        .orderBy('roles.name')
        .execute()
    ).map(role => role.name)
  const create = (name: string, ...args: string[]) =>
    command(
      'user',
      'create',
      '--name',
      name,
      '--email',
      `${name}@example.org`,
      '--password',
      'Correct horse 1',
      ...args,
    )

  const { out, error } = await create('alice')
  t.equal(error, null)
  t.match(out, [/^Created user \d+, alice <alice@example\.org>\.$/])
  const row = await database.kysely
    .selectFrom('users')
    .selectAll()
    .where('name', '=', 'alice')
    .executeTakeFirstOrThrow()
  t.match(row.password, /^\$2y\$04\$/)
  t.equal(await verifyPassword('Correct horse 1', row.password), true)
  t.equal(row.email_verified_at, null)
  t.equal(row.created_at, '2026-03-01 12:00:00')
  t.strictSame(await rolesOf('alice@example.org'), [])

  await create('bob', '--verified', '--role', 'Patron', '--role', 'Verified')
  t.strictSame(await rolesOf('bob@example.org'), ['Patron', 'Verified'])

  t.equal((await create('ALICE')).error, 'The email has already been taken.', 'without regard to case')
  const taken = await command(
    'user',
    'create',
    '--name',
    'Alice',
    '--email',
    'x@example.org',
    '--password',
    'Correct horse 1',
  )
  t.equal(taken.error, 'The name has already been taken.')
  t.equal((await create('carol', '--role', 'King')).error, 'There is no role King.')
  const carol = await database.kysely.selectFrom('users').select('id').where('name', '=', 'carol').execute()
  t.strictSame(carol, [], 'and then no user either')

  for (const [args, message] of [
    [
      ['--name', 'e', '--email', 'nobody', '--password', 'x'],
      '--email nobody: The email must be a valid email address.',
    ],
    [['--name', ' ', '--email', 'e@example.org', '--password', 'x'], '--name  : The name field is required.'],
    [['--name', 'e', '--email', 'e@example.org', '--password', ''], 'The password field is required.'],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'x'.repeat(73)],
      'The password must not be longer than 72 bytes.',
    ],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'a\0b'],
      'The password must not contain a NUL character.',
    ],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'P@ssw0rd2024!'],
      'The password is too common. Please choose a different password.',
    ],
    [
      ['--name', 'e', '--email', 'gretel.frost@example.org', '--password', 'Gretel-Frost-1'],
      similarTo('your e-mail address'),
    ],
  ] as const) {
    t.match((await command('user', 'create', ...args)).error, message)
  }
})

t.test('user restore', async t => {
  const { database, command } = await commandLine(t as never)
  const [user, other] = [await aUser(database, { password: 'password' }), await aUser(database)]
  const restore = (email: string) => command('user', 'restore', '--email', email)
  const gone = `No user with the e-mail address ${user.email} was deleted.`
  t.equal((await restore(user.email)).error, gone, 'who was not deleted need not come back')
  await deleteUser(database.kysely, user.id, NOW)
  await deleteUser(database.kysely, other.id, NOW)
  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', user.token)).status, 401)
  t.strictSame((await restore(user.email.toUpperCase())).out, [
    `${user.email.toUpperCase()} is back, with all tokens.`,
  ])
  t.equal((await get(app, '/api/me', user.token)).json.user.id, user.id)
  t.equal((await get(app, '/api/me', other.token)).status, 401)
  t.equal((await restore(user.email)).error, gone)
  t.match((await command('activity', '--email', user.email)).out.join(), 'account restored')
})

t.test('token create', async t => {
  const { database, command } = await commandLine(t as never, { SANCTUM_TOKEN_PREFIX: 'at_' })
  const user = await aUser(database)
  const { out, err, error } = await command(
    'token',
    'create',
    '--email',
    user.email.toUpperCase(),
    '--name',
    'laptop',
  )
  t.equal(error, null)
  t.strictSame(err, [])
  t.equal(out.length, 1, 'the token stands alone')
  t.match(out[0], /^\d+\|at_[A-Za-z0-9]{40}[0-9a-f]{8}$/)
  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', out[0])).json.user.id, user.id)
  const read = (token = '') =>
    database.kysely
      .selectFrom('personal_access_tokens')
      .selectAll()
      .where('id', '=', Number(token.split('|')[0]))
      .executeTakeFirstOrThrow()
  t.match(await read(out[0]), {
    tokenable_type: 'App\\Models\\Auth\\User',
    name: 'laptop',
    abilities: '["*"]',
    expires_at: null,
    created_at: '2026-03-01 12:00:00',
  })
})

t.test('token create with abilities and an end', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database)
  const create = (...args: string[]) =>
    command('token', 'create', '--email', user.email, '--name', 'x', ...args)
  await create(
    '--ability',
    'read:me',
    '--ability',
    'read:playlist',
    '--expires-at',
    '2027-01-31T12:00:00+02:00',
  )
  const row = await database.kysely
    .selectFrom('personal_access_tokens')
    .selectAll()
    .where('name', '=', 'x')
    .executeTakeFirstOrThrow()
  t.match(row, { abilities: '["read:me","read:playlist"]', expires_at: '2027-01-31 10:00:00' })
  const typo = await create('--ability', 'reed:playlist')
  t.match(typo.err[0], /^--ability reed:playlist: nothing here asks for it, but for read:me, /)
  t.equal(typo.out.length, 1, 'it is issued all the same, as Laravel allows any')
  t.equal(
    (await command('token', 'create', '--email', user.email, '--name', '')).error,
    '--name : expected 1 to 255 characters that can be seen.',
  )
  t.match((await create('--expires-at', 'tomorrow')).error, /expected a date such as 2027-01-31/)
  t.match((await create('--expires-at', '2026-02-28')).error, /lies in the past/)
  t.equal(
    (await command('token', 'create', '--email', 'nobody@example.org', '--name', 'x')).error,
    'There is no user with the e-mail address nobody@example.org.',
  )
})

t.test('token list and revoke', async t => {
  const { database, command } = await commandLine(t as never)
  const user = await aUser(database)
  const other = await aUser(database)
  const second = await aToken(database, user.id, {
    expiresAt: NOW + DAY,
    abilities: [],
    userType: 'App\\Models\\User',
  })

  const { out } = await command('token', 'list', '--email', user.email)
  t.equal(out.length, 3)
  t.match(out[0], /^ID +NAME +ABILITIES +LAST USED +ENDS +CREATED$/)
  t.match(out[1], new RegExp(`^${user.tokenId} +test +\\* +never +2027-03-01 12:00:00 +2026-03-01 12:00:00$`))
  t.match(out[2], new RegExp(`^${second.tokenId} +test +- +never +2026-03-02 12:00:00 +2026`))
  t.notMatch(out.join(), /[0-9a-f]{64}/, 'no digest is shown')

  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', user.token)).status, 200)
  t.strictSame((await command('token', 'revoke', String(user.tokenId))).out, [
    `Revoked token ${user.tokenId}.`,
  ])
  t.equal((await get(app, '/api/me', user.token)).status, 401)
  t.equal(
    (await command('token', 'revoke', String(user.tokenId))).error,
    `There is no token ${user.tokenId}.`,
  )

  t.strictSame((await command('token', 'revoke', '--all', '--email', user.email)).out, [
    `Revoked 1 token of ${user.email}.`,
  ])
  t.equal((await get(app, '/api/me', second.token)).status, 401)
  t.equal((await get(app, '/api/me', other.token)).status, 200, "another user's stays")

  for (const args of [[], ['--all'], ['--email', user.email], ['1', '--all', '--email', user.email]]) {
    t.match(
      (await command('token', 'revoke', ...args)).error,
      /give either the ID of a token, or --all with --email/,
    )
  }
  t.match((await command('token', 'revoke', '1|secret')).error, /expected the number before the \|/)
})

t.test('token prune', async t => {
  const ids = async (database: Awaited<ReturnType<typeof commandLine>>['database']) =>
    (await database.kysely.selectFrom('personal_access_tokens').select('id').orderBy('id').execute()).map(
      row => row.id,
    )

  t.test('by the global expiration', async t => {
    const { database, command } = await commandLine(t as never, { SANCTUM_EXPIRATION: '60' })
    const { id, tokenId } = await aUser(database)
    const born = async (minutes: number) =>
      (await aToken(database, id, { createdAt: NOW - minutes * MINUTE })).tokenId
    const [, kept, kept2] = [await born(181), await born(179), await born(121)]
    const { out, err } = await command('token', 'prune', '--hours', '2')
    t.strictSame(out, ['Tokens expired for more than [2 hours] pruned successfully.'])
    t.strictSame(err, [])
    t.strictSame(await ids(database), [tokenId, kept, kept2])
  })

  t.test('without one', async t => {
    const { database, command } = await commandLine(t as never, { SANCTUM_EXPIRATION: 'null' })
    const { id, tokenId } = await aUser(database)
    const { tokenId: old } = await aToken(database, id, { createdAt: NOW - 70 * DAY })
    const { out, err, error } = await command('token', 'prune', '--hours', '2')
    t.equal(error, null)
    t.strictSame(out, ['Tokens expired for more than [2 hours] pruned successfully.'])
    t.strictSame(err, ['Expiration value not specified in configuration file.'])
    t.strictSame(await ids(database), [tokenId, old])
  })

  t.test('by their own dates', async t => {
    const { database, command } = await commandLine(t as never, { SANCTUM_EXPIRATION: '60' })
    const { id, tokenId } = await aUser(database)
    const ends = async (minutes: number) =>
      (await aToken(database, id, { expiresAt: NOW + minutes * MINUTE })).tokenId
    const [, recent, future] = [await ends(-121), await ends(-119), await ends(10)]
    await command('token', 'prune', '--hours', '2')
    t.strictSame(await ids(database), [tokenId, recent, future])
    const dayOld = await ends(-24 * 60 - 1)
    await command('token', 'prune')
    t.notOk((await ids(database)).includes(dayOld), 'a day is the default')
    t.match((await command('token', 'prune', '--hours', 'x')).error, /expected a whole number/)
  })

  t.test('more than a batch of them', async t => {
    const { database, command } = await commandLine(t as never)
    const { id, tokenId } = await aUser(database)
    await sql`
      insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, expires_at, created_at)
      select ${USER_TYPE}, ${id}::bigint, 'x', md5(n::text), '2026-01-01', '2026-01-01'
      from generate_series(1, 10001) as n`.execute(database.kysely)
    await command('token', 'prune')
    t.strictSame(await ids(database), [tokenId])
  })
})

t.test('role and permission', async t => {
  const { database, command } = await commandLine(t as never)
  const { email, token } = await aUser(database)
  const app = await startApp(t, {
    database,
    routes: app => {
      app.get(
        '/may',
        { config: { access: { auth: 'required', permission: 'view playlist' } } },
        async () => ({}),
      )
    },
  })
  const may = async () => (await get(app, '/may', token)).status === 200

  t.equal(await may(), false)
  t.strictSame((await command('role', 'grant', '--email', email, '--role', 'Verified')).out, [
    `Granted role Verified: ${email}.`,
  ])
  t.equal(await may(), true)
  t.equal(
    (await command('role', 'grant', '--email', email, '--role', 'Verified')).error,
    null,
    'twice is once',
  )
  await command('role', 'revoke', '--email', email, '--role', 'Verified')
  t.equal(await may(), false)
  await command('permission', 'grant', '--email', email, '--permission', 'view playlist')
  t.equal(await may(), true)
  t.strictSame(
    (await command('permission', 'revoke', '--email', email, '--permission', 'view playlist')).out,
    [`Revoked permission view playlist: ${email}.`],
  )
  t.equal(await may(), false)
  t.equal(
    (await command('role', 'revoke', '--email', email, '--role', 'King')).error,
    'There is no role King.',
  )
  t.equal(
    (await command('permission', 'grant', '--email', email, '--permission', 'rule')).error,
    'There is no permission rule.',
  )
})

t.test('seed and migrate can be repeated', async t => {
  const { database, command } = await commandLine(t as never)
  const count = async () => {
    const tables = [
      'users',
      'roles',
      'permissions',
      'role_has_permissions',
      'prohibitions',
      'playlists',
    ] as const
    const counts: number[] = []
    for (const table of tables) {
      const { n } = await database.kysely
        .selectFrom(table)
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
      counts.push(n)
    }
    return counts
  }
  const before = await count()
  t.strictSame((await command('seed')).out, ['Roles and permissions are in place.'])
  t.strictSame(await count(), before)
  t.strictSame((await command('migrate')).out, ['Nothing to migrate.'])
  const [seeded, other] = await Promise.all([command('seed', '--demo'), command('seed', '--demo')])
  t.strictSame([seeded.error, other.error], [null, null], 'two at once do not collide')
  const shown = [seeded, other].find(({ out }) => out[1]?.startsWith('Demo user'))
  t.match(shown?.out, [/in place/, /^Demo user demo@example\.org, password \S+, token \d+\|\S+$/])
  const after = await count()
  t.ok((after[0] ?? 0) >= 4 && (after.at(-1) ?? 0) >= 5)
  await database.kysely.insertInto('videos').defaultValues().execute()
  await database.kysely
    .updateTable('users')
    .set({ email: 'Demo@Example.org' })
    .where('email', '=', 'demo@example.org')
    .execute()
  t.strictSame((await command('seed', '--demo')).out.slice(1), ['The demo users are there already.'])
  t.strictSame(await count(), after)
})

t.test('every command explains itself', async t => {
  const { command } = await commandLine(t as never)
  const { out } = await command('--help')
  for (const name of ['serve', 'migrate', 'seed', 'user', 'token', 'role', 'permission', 'openapi']) {
    t.match(out.join(), new RegExp(`^ {2}${name}`, 'm'))
    const { out: help, err } = await command(name, '--help')
    t.match(help.join(), new RegExp(`^Usage: animethemes-auth ${name}`))
    t.strictSame(err, [])
  }
  t.strictSame((await command('serve', '--loud')).err, ["error: unknown option '--loud'"])
  t.strictSame((await command('token', 'revoke')).err, [
    'error: give either the ID of a token, or --all with --email',
  ])
})

t.test('as a process', async t => {
  const help = await run({}, ['--help'])
  t.equal(help.code, 0)
  t.match(help.out, /^Usage: animethemes-auth/)
  t.equal(help.err, '')

  for (const [args, expected] of [
    [['token', 'create'], /^error: required option '--email <email>' not specified$/],
    [['token', 'creat'], /^error: unknown command 'creat' \(Did you mean create\?\)$/],
    [['token'], /^Usage: animethemes-auth token/],
  ] as const) {
    const { code, out, err } = await run({}, args)
    t.equal(code, 2, args.join(' '))
    t.equal(out, '')
    t.match(err.trimEnd(), expected)
  }

  const misconfigured = await run({ PORT: 'x', LOG_LEVEL: 'y' }, ['migrate'])
  t.equal(misconfigured.code, 1)
  t.match(
    misconfigured.err,
    /^error: PORT=x: expected a whole number from 0 to 65535; LOG_LEVEL=y: expected one of [^\n]+\n$/,
  )

  const unreachable = await run({ DATABASE_URL: 'postgres://x:s3cret@127.0.0.1:1/x', APP_KEY: TEST_KEY }, [
    'migrate',
  ])
  t.equal(unreachable.code, 1)
  t.match(unreachable.err, /^error: The database is not available[^\n]*ECONNREFUSED[^\n]*\n$/)
  t.notMatch(unreachable.err, 's3cret')

  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-env-'))
  writeFileSync(join(folder, '.env'), 'PORT=from-file\nLOG_LEVEL=loud\n')
  const fromFile = await run({ LOG_LEVEL: 'info' }, ['migrate'], { cwd: folder })
  t.equal(
    fromFile.err,
    'error: PORT=from-file: expected a whole number from 0 to 65535\n',
    '.env, under the environment',
  )
})
