import t, { type Test } from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { PanelBrowser } from '../../fixtures/panel.ts'
import { aUser, PASSWORD, TEST_ROUNDS } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const UNLIMITED = {
  ...{ REGISTER_RATE_LIMIT: '1000', LOGIN_RATE_LIMIT: '1000', FORGOT_PASSWORD_RATE_LIMIT: '1000' },
  ...{ RESET_PASSWORD_RATE_LIMIT: '1000', RATE_LIMIT_ANONYMOUS: '1000', RATE_LIMIT_AUTHENTICATED: '1000' },
}
const TAKEN = { email: ['The email has already been taken.'] }

for (const engine of ENGINES) {
  t.test(`forms of e-mail addresses on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await one(t, database)
    await changing(t, database)
    await colliding(t, database)
    await counting(t, database)
  })
}

/** Adds a user as Laravel does, under an address in whatever form. */
async function addAsLaravel({ kysely }: TestDatabase, name: string, email: string, password = PASSWORD) {
  const { id } = await kysely
    .insertInto('users')
    .values({
      name,
      email,
      password: await hashPassword(password, TEST_ROUNDS),
      email_verified_at: '2026-01-01 00:00:00',
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

async function open(app: TestApp) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

/** The id of the user whom an address logs in; null for nobody. */
async function loggedIn(app: TestApp, email: string, password = PASSWORD): Promise<number | null> {
  const browser = await open(app)
  const { status } = await browser.post('/login', { email, password })
  return status === 200 ? (await browser.get('/api/me')).json.user.id : null
}

const registering = async (
  app: TestApp,
  email: string,
  name = `new-${Math.random().toString(36).slice(2)}`,
) =>
  (await open(app)).post('/register', {
    name,
    email,
    password: PASSWORD,
    password_confirmation: PASSWORD,
    terms: true,
  })

/** Forms of addresses as they are stored, and others in which they may be typed. */
const STORED: [stored: string, ...typed: string[]][] = [
  [
    'jane@example.org',
    '"jane"@example.org',
    'JANE@EXAMPLE.ORG',
    '\u200bjane@example.org',
    'jane@example.org\ufeff',
  ],
  [
    'j.d@example.org',
    '"j.d"@example.org',
    '"j".d@EXAMPLE.org.',
    '\u202aj.d@example.org\u202c',
    '\u00a0j.d@example.org',
  ],
  ['"ann"@example.org', 'ann@example.org', 'ANN@example.org', '"a\\nn"@example.org'],
  [
    'bo@bücher.example',
    'bo@xn--bcher-kva.example',
    'bo@bu\u0308cher.example',
    'BO@BÜCHER.EXAMPLE',
    '"bo"@bücher.example',
  ],
  ['cy@xn--bcher-kva.example', 'cy@bücher.example', '\u2066cy@bücher.example\u2069'],
  ['de\u0301@example.org', 'dé@example.org', 'DÉ@example.org', '"dé"@example.org'],
  ['ed@example.org\u200b', 'ed@example.org', 'ED@example.org'],
]

async function one(t: Test, database: TestDatabase) {
  await t.test('are one account, wherever they are entered', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, REVEAL_UNKNOWN_EMAIL: 'true' } })
    const ids: number[] = []
    for (const [index, [stored]] of STORED.entries())
      ids.push(await addAsLaravel(database, `form${index}`, stored))
    await fillUserKeys(database.kysely)
    for (const [index, forms] of STORED.entries()) {
      for (const form of forms) {
        const label = encodeURI(form)
        t.equal(await loggedIn(app, form), ids[index], label)
        const taken = await registering(app, form)
        t.strictSame(taken.json?.errors, TAKEN, label)
      }
    }
  })

  await t.test('bring links to a new password, and take it', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (const [stored, asked, reset] of [
      ['fay@bücher.example', 'fay@xn--bcher-kva.example', '"fay"@BÜCHER.example'],
      ['gus@example.org', '"gus"@example.org', '\u200bGUS@example.org'],
      ['ha\u0301@example.org', 'há@example.org', 'HÁ@example.org\ufeff'],
    ] as const) {
      const id = await addAsLaravel(database, encodeURI(stored).slice(0, 3), stored)
      await fillUserKeys(database.kysely)
      const browser = await open(app)
      t.equal((await browser.post('/forgot-password', { email: asked })).status, 200)
      const mail = await app.mailbox.next()
      t.equal(mail.to.address, stored, 'the mail goes to the address as it is stored')
      const token = linkIn(mail).searchParams.get('token')
      const password = 'Another-horse-2'
      const done = await browser.post('/reset-password', {
        token,
        email: reset,
        password,
        password_confirmation: password,
      })
      t.equal(done.status, 200, stored)
      t.equal(await loggedIn(app, asked, password), id)
      await app.mailbox.next()
    }
  })

  await t.test('log in on the panel, and are found there', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const id = await addAsLaravel(database, 'panelist', 'pan@bücher.example')
    await fillUserKeys(database.kysely)
    const admin = await aUser(database, { password: PASSWORD, roles: ['Admin'] })
    const panel = new PanelBrowser(app)
    t.match(
      (await panel.logIn({ email: '"pan"@xn--bcher-kva.example', password: PASSWORD })).text,
      'panelist',
    )
    const staff = new PanelBrowser(app)
    await staff.logIn({ email: admin.email, password: PASSWORD })
    const found = await staff.open(`/admin/users?q=${encodeURIComponent('PAN@xn--bcher-kva.example')}`)
    t.match(found.text, `/admin/users/${id}"`)
  })

  await t.test('that are no address are none', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (const email of [
      '"a b"@example.org',
      'ja\u200bne2@example.org',
      'x\u3164y@example.org',
      '"a"b@example.org',
    ]) {
      const answer = await registering(app, email)
      t.strictSame(
        answer.json.errors,
        { email: ['The email must be a valid email address.'] },
        encodeURI(email),
      )
    }
    t.equal((await registering(app, '\u200b"New.One"@Bücher.example\u2069')).status, 201)
    t.ok(
      await database.kysely
        .selectFrom('users')
        .select('id')
        .where('email', '=', 'New.One@xn--bcher-kva.example')
        .executeTakeFirst(),
    )
  })
}

async function changing(t: Test, database: TestDatabase) {
  await t.test(
    'another form of the own address is no change, and one of somebody else’s is taken',
    async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      await addAsLaravel(database, 'ina', 'ina@bücher.example')
      const id = await addAsLaravel(database, 'jo', '"jo"@bücher.example')
      await fillUserKeys(database.kysely)
      const browser = await open(app)
      await browser.post('/login', { email: 'jo@bücher.example', password: PASSWORD })
      await browser.post('/user/confirm-password', { password: PASSWORD })
      const change = (email: string) =>
        browser.send('PUT', '/user/profile-information', { payload: { email } })
      for (const email of ['"jo"@bücher.example', 'jo@xn--bcher-kva.example', '\u200bjo@bücher.example']) {
        t.equal((await change(email)).status, 200, email)
      }
      for (const email of ['ina@xn--bcher-kva.example', '"ina"@bücher.example', '\ufeffINA@bücher.example']) {
        t.strictSame((await change(email)).json.errors, TAKEN, email)
      }
      const row = await database.kysely
        .selectFrom('users')
        .select('email')
        .where('id', '=', id)
        .executeTakeFirst()
      t.equal(row?.email, '"jo"@bücher.example')
      t.equal(app.mailbox.mails.length, 0)

      t.equal((await change('jo@example.org')).status, 200)
      const link = linkIn(await app.mailbox.next())
      t.equal((await browser.get(link.pathname + link.search)).status, 204)
      for (const email of ['jo@xn--bcher-kva.example', 'jo@bücher.example', '"jo"@bu\u0308cher.example']) {
        const answer = await registering(app, email)
        t.strictSame(answer.json.errors, TAKEN, `${email} is reserved`)
      }
      t.equal((await registering(app, '"JO"@example.org')).status, 422)
      t.equal(await loggedIn(app, '"jo"@example.org'), id)
    },
  )
}

async function colliding(t: Test, database: TestDatabase) {
  await t.test('of two accounts each is reached by its own', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const pairs: [string, string][] = [
      ['kim@bücher.example', 'kim@xn--bcher-kva.example'],
      ['"lea"@example.org', 'lea@example.org'],
      ['mo\u0301@example.org', 'mó@example.org'],
    ]
    for (const [index, emails] of pairs.entries()) {
      const [one = 0, two = 0] = [
        await addAsLaravel(database, `pair${index}a`, emails[0], 'First horse 1'),
        await addAsLaravel(database, `pair${index}b`, emails[1], 'Second horse 2'),
      ]
      await app.fillUserKeys()
      t.equal(await loggedIn(app, emails[0], 'First horse 1'), one, emails[0])
      t.equal(await loggedIn(app, emails[1], 'Second horse 2'), two, emails[1])
      t.equal(await loggedIn(app, emails[0].toUpperCase(), 'First horse 1'), one)
      t.equal(await loggedIn(app, `\u200b${emails[1]}`, 'Second horse 2'), two)
      for (const email of emails) {
        const browser = await open(app)
        await browser.post('/forgot-password', { email })
        t.equal((await app.mailbox.next()).to.address, email, 'a link goes to the one that was entered')
      }
      t.match(app.logged.filter(({ msg }) => /forms of one/.test(String(msg))).at(-1), {
        collisions: [{ userIds: [one, two] }],
      })
    }
  })
}

async function counting(t: Test, database: TestDatabase) {
  await t.test('count as one account for limits', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, LOGIN_RATE_LIMIT: '5' } })
    await addAsLaravel(database, 'nia', 'nia@xn--bcher-kva.example')
    const browser = await open(app)
    const statuses: number[] = []
    for (const email of [
      ...[
        'nia@bücher.example',
        '"nia"@bücher.example',
        '\u200bnia@xn--bcher-kva.example',
        'NIA@BU\u0308CHER.example',
      ],
      ...['"n\\ia"@xn--bcher-kva.example\ufeff', 'nia@xn--bcher-kva.example', '\u2066"nia"@bücher.example'],
    ]) {
      statuses.push((await browser.post('/login', { email, password: 'wrong' })).status)
    }
    t.strictSame(statuses, [422, 422, 422, 422, 422, 429, 429])
  })

  await t.test('a login takes as many statements as ever', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const count = async (email: string) => {
      const browser = await open(app)
      database.statements.length = 0
      t.equal((await browser.post('/login', { email, password: PASSWORD })).status, 200)
      return database.statements.filter(text => /from "users"/.test(text) && /email_key/.test(text)).length
    }
    t.equal(await count('jane@example.org'), 1)
    t.equal(await count('"jane"@example.org'), 1)
  })
}
