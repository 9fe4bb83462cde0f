import t from 'tap'
import { hashPassword } from '#src/auth/password.ts'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { EMAIL_TAKEN } from '../../../fixtures/answers.ts'
import { openBrowser } from '../../../fixtures/browser.ts'
import { changeProfile, openLink } from '../../../fixtures/email-changes.ts'
import { linkIn } from '../../../fixtures/mailbox.ts'
import { PanelBrowser } from '../../../fixtures/panel.ts'
import { forgetPassword, NEW_PASSWORD, resetPassword } from '../../../fixtures/passwords.ts'
import { aRegistration, userByEmail, userById } from '../../../fixtures/registration.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aMember, PASSWORD, TEST_ROUNDS } from '../../../fixtures/users.ts'
import { startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

/** Adds a user as Laravel does, with an address in any spelling and without keys, and returns its id. */
async function aLaravelUser({ kysely }: TestDatabase, name: string, email: string, password = PASSWORD) {
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

/** The id of the user whom an address logs in; null for none. */
async function logIn(app: TestApp, email: string, password = PASSWORD): Promise<number | null> {
  const browser = await openBrowser(app)
  const { status } = await browser.post('/login', { email, password })
  return status === 200 ? (await browser.get('/api/me')).json.user.id : null
}

const register = async (app: TestApp, email: string) =>
  (await openBrowser(app)).post('/register', aRegistration({ email }))

/** Addresses as they are stored, and other spellings of them. */
const SPELLINGS: [stored: string, ...typed: string[]][] = [
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

for (const engine of ENGINES) {
  t.test(`spellings of an e-mail address on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const environment = { ...UNLIMITED, RESET_PASSWORD_RATE_LIMIT: '1000' }
    const app = await startApp(t, { database, environment })

    await t.test('each spelling logs in to the account, and cannot be registered again', async t => {
      const app = await startApp(t, {
        database,
        environment: { ...environment, REVEAL_UNKNOWN_EMAIL: 'true' },
      })
      const ids: number[] = []
      for (const [index, [stored]] of SPELLINGS.entries()) {
        ids.push(await aLaravelUser(database, `form${index}`, stored))
      }
      await fillUserKeys(database.kysely)
      for (const [index, spellings] of SPELLINGS.entries()) {
        for (const email of spellings) {
          const label = encodeURI(email)
          t.equal(await logIn(app, email), ids[index], label)
          t.strictSame((await register(app, email)).json?.errors, EMAIL_TAKEN, label)
        }
      }
    })

    await t.test('each spelling gets a link to a new password, and sets it', async t => {
      for (const [stored, asked, entered] of [
        ['fay@bücher.example', 'fay@xn--bcher-kva.example', '"fay"@BÜCHER.example'],
        ['gus@example.org', '"gus"@example.org', '\u200bGUS@example.org'],
        ['ha\u0301@example.org', 'há@example.org', 'HÁ@example.org\ufeff'],
      ] as const) {
        const id = await aLaravelUser(database, encodeURI(stored).slice(0, 3), stored)
        await fillUserKeys(database.kysely)
        const browser = await openBrowser(app)
        t.equal((await forgetPassword(browser, asked)).status, 200)
        const mail = await app.mailbox.nextTo(stored)
        t.equal(mail.to.address, stored, 'the mail goes to the stored spelling')
        const token = linkIn(mail).searchParams.get('token')
        t.equal((await resetPassword(app, { token, email: entered }, browser)).status, 200, stored)
        t.equal(await logIn(app, asked, NEW_PASSWORD), id)
      }
    })

    await t.test('the panel logs in and finds users by each spelling', async t => {
      const id = await aLaravelUser(database, 'panelist', 'pan@bücher.example')
      await fillUserKeys(database.kysely)
      const admin = await aMember(database, { roles: ['Admin'] })
      const panel = new PanelBrowser(app)
      t.match(
        (await panel.logIn({ email: '"pan"@xn--bcher-kva.example', password: PASSWORD })).text,
        'panelist',
      )
      const staff = new PanelBrowser(app)
      await staff.logIn(admin)
      const found = await staff.open(`/admin/users?q=${encodeURIComponent('PAN@xn--bcher-kva.example')}`)
      t.match(found.text, `/admin/users/${id}"`)
    })

    await t.test('an address with spaces or invisible characters inside is invalid', async t => {
      for (const email of [
        '"a b"@example.org',
        'ja\u200bne2@example.org',
        'x\u3164y@example.org',
        '"a"b@example.org',
      ]) {
        const { json } = await register(app, email)
        const errors = { email: ['The email must be a valid email address.'] }
        t.strictSame(json.errors, errors, encodeURI(email))
      }
    })

    await t.test('an address is stored without quotes and with an ASCII domain', async t => {
      t.equal((await register(app, '\u200b"New.One"@Bücher.example\u2069')).status, 201)
      t.ok(await userByEmail(database, 'New.One@xn--bcher-kva.example'))
    })

    /** A user with the address `"name"@bücher.example` who is logged in, and has confirmed the password. */
    const aUserWithQuotes = async (name: string) => {
      const id = await aLaravelUser(database, name, `"${name}"@bücher.example`)
      await fillUserKeys(database.kysely)
      const browser = await openBrowser(app)
      await browser.post('/login', { email: `${name}@bücher.example`, password: PASSWORD })
      await browser.post('/user/confirm-password', { password: PASSWORD })
      return { id, browser }
    }

    await t.test(
      'another spelling of the own address is no change, and one of another user is taken',
      async t => {
        await aLaravelUser(database, 'ina', 'ina@bücher.example')
        const { id, browser } = await aUserWithQuotes('jo')
        for (const email of ['"jo"@bücher.example', 'jo@xn--bcher-kva.example', '\u200bjo@bücher.example']) {
          t.equal((await changeProfile(browser, { email })).status, 200, email)
        }
        for (const email of [
          'ina@xn--bcher-kva.example',
          '"ina"@bücher.example',
          '\ufeffINA@bücher.example',
        ]) {
          t.strictSame((await changeProfile(browser, { email })).json.errors, EMAIL_TAKEN, email)
        }
        t.equal((await userById(database, id)).email, '"jo"@bücher.example')
        for (const email of ['"jo"@bücher.example', 'jo@xn--bcher-kva.example']) {
          t.strictSame(app.mailbox.mailsTo(email), [])
        }
      },
    )

    await t.test('each spelling of the address before a change is reserved', async t => {
      const { id, browser } = await aUserWithQuotes('kay')
      t.equal((await changeProfile(browser, { email: 'kay@example.org' })).status, 200)
      const link = linkIn(await app.mailbox.nextTo('kay@example.org'))
      t.equal((await openLink(browser, link)).status, 204)
      for (const email of ['kay@xn--bcher-kva.example', 'kay@bücher.example', '"kay"@bu\u0308cher.example']) {
        t.strictSame((await register(app, email)).json.errors, EMAIL_TAKEN, email)
      }
      t.equal((await register(app, '"KAY"@example.org')).status, 422)
      t.equal(await logIn(app, '"kay"@example.org'), id)
    })

    await t.test('two accounts with spellings of one address are reached by their own', async t => {
      const app = await startApp(t, { database, environment })

      const pairs: [string, string][] = [
        ['kim@bücher.example', 'kim@xn--bcher-kva.example'],
        ['"lea"@example.org', 'lea@example.org'],
        ['mo\u0301@example.org', 'mó@example.org'],
      ]
      for (const [index, emails] of pairs.entries()) {
        const [one = 0, two = 0] = [
          await aLaravelUser(database, `pair${index}a`, emails[0], 'First horse 1'),
          await aLaravelUser(database, `pair${index}b`, emails[1], 'Second horse 2'),
        ]
        await app.fillUserKeys()
        t.equal(await logIn(app, emails[0], 'First horse 1'), one, emails[0])
        t.equal(await logIn(app, emails[1], 'Second horse 2'), two, emails[1])
        t.equal(await logIn(app, emails[0].toUpperCase(), 'First horse 1'), one)
        t.equal(await logIn(app, `\u200b${emails[1]}`, 'Second horse 2'), two)
        for (const email of emails) {
          await forgetPassword(await openBrowser(app), email)
          t.equal(
            (await app.mailbox.next()).to.address,
            email,
            'the link goes to the spelling of the request',
          )
        }
        t.match(app.logged.filter(({ msg }) => /equivalent e-mail addresses/.test(String(msg))).at(-1), {
          collisions: [{ userIds: [one, two] }],
        })
      }
    })

    await t.test('all spellings count as one account for limits', async t => {
      const app = await startApp(t, { database, environment: { ...environment, LOGIN_RATE_LIMIT: '5' } })

      await aLaravelUser(database, 'nia', 'nia@xn--bcher-kva.example')
      const browser = await openBrowser(app)
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

    await t.test('a login looks the user up with one statement, in each spelling', async t => {
      await aLaravelUser(database, 'olga', 'olga@example.org')
      await fillUserKeys(database.kysely)
      for (const email of ['olga@example.org', '"olga"@example.org']) {
        const browser = await openBrowser(app)
        database.statements.length = 0
        t.equal((await browser.post('/login', { email, password: PASSWORD })).status, 200)
        const lookups = database.statements.filter(
          text => /from "users"/.test(text) && /email_key/.test(text),
        )
        t.equal(lookups.length, 1)
      }
    })
  })
}
