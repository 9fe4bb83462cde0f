import t from 'tap'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { EMAIL_TAKEN, NAME_TAKEN } from '../../../fixtures/answers.ts'
import { aLoggedInUser, openBrowser, type TestBrowser } from '../../../fixtures/browser.ts'
import { changeProfile } from '../../../fixtures/email-changes.ts'
import { aRegistration, userById } from '../../../fixtures/registration.ts'
import { FORM, JSON_TYPE } from '../../../fixtures/requests.ts'
import { UNLIMITED } from '../../../fixtures/settings.ts'
import { aUser } from '../../../fixtures/users.ts'
import { requiredError } from '../../../fixtures/validation.ts'
import { startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../../support/databases.ts'

const REQUIRED = requiredError('name')
const TAKEN = NAME_TAKEN.name
const DASHES = ['The name must only contain letters, numbers, dashes and underscores.']
const NOT_EMAIL = ['The email must be a valid email address.']
const TOO_LONG_EMAIL = ['The email must not be greater than 255 characters.']
const DISPOSABLE = ['Disposable email addresses are not allowed.']

const INVALID: [change: object, errors: Record<string, string[]>][] = [
  [
    { name: '', email: ' ', password: '', password_confirmation: '', terms: '' },
    {
      name: REQUIRED,
      email: requiredError('email'),
      password: requiredError('password'),
      terms: requiredError('terms'),
    },
  ],
  [{ name: null }, { name: REQUIRED }],
  ...[null, '', ' \t\n', [], {}, [null], [''], [[], {}], { x: ' ' }].map(
    (terms): [object, Record<string, string[]>] => [{ terms }, { terms: requiredError('terms') }],
  ),
  [{ name: 'not a name' }, { name: DASHES }],
  [{ name: 'name!' }, { name: DASHES }],
  [{ name: 'nul\0' }, { name: DASHES }],
  [{ name: '\ud800' }, { name: DASHES }],
  [{ name: 'x'.repeat(36) }, { name: ['The name must not be greater than 35 characters.'] }],

  [{ email: 'no-at-sign' }, { email: NOT_EMAIL }],
  [{ email: 'a@b@c' }, { email: NOT_EMAIL }],
  [{ email: 'a@b.test\r\nBcc: c@d.test' }, { email: NOT_EMAIL }],
  [{ email: 'nul\0@example.org' }, { email: NOT_EMAIL }],
  [{ email: `${'x'.repeat(64)}@${'a.'.repeat(96)}example.org` }, { email: TOO_LONG_EMAIL }],
  [{ email: `a@${'a.'.repeat(30_000)}!` }, { email: TOO_LONG_EMAIL }],
  [{ name: '\u0301'.repeat(15_000) + '\u0323'.repeat(15_000) }, { name: [] }],
  [{ email: 'user@mailinator.com' }, { email: DISPOSABLE }],
  [{ email: 'user@inbox.MAILINATOR.com' }, { email: DISPOSABLE }],
  [{ password: 'x' }, { password: ['The password must be at least 8 characters.'] }],
  [{ password_confirmation: 'x' }, { password: ['The password confirmation does not match.'] }],
  [{ name: ['x'] }, { name: ['The name must be a string.'] }],
  [{ email: { x: 1 } }, { email: ['The email must be a string.'] }],
  [{ email: 1 }, { email: ['The email must be a string.'] }],
  [{ password: 12_345_678 }, { password: ['The password must be a string.'] }],
]

const countUsers = async ({ kysely }: TestDatabase) =>
  (await kysely.selectFrom('users').select('id').execute()).length

/** Registers a name, and returns the errors; null when that succeeds. */
async function register(app: TestApp, name: string): Promise<string[] | null> {
  const answer = await (await openBrowser(app)).post('/register', aRegistration({ name }))
  return answer.status === 201 ? null : answer.json.errors.name
}

/** Changes the name of a browser's user, and returns the errors; null when that succeeds. */
async function rename(browser: TestBrowser, name: string): Promise<string[] | null> {
  const answer = await changeProfile(browser, { name })
  return answer.status === 200 ? null : answer.json.errors.name
}

/** The name of the user who registered last. */
const lastName = async ({ kysely }: TestDatabase) =>
  (await kysely.selectFrom('users').select('name').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow())
    .name

for (const engine of ENGINES) {
  t.test(`validation of registrations on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: UNLIMITED })

    await t.test('invalid input returns 422 with all fields, and creates nothing', async t => {
      const app = await startApp(t, { database, environment: UNLIMITED })
      const browser = await openBrowser(app)
      const taken = await aUser(database)
      const before = await countUsers(database)
      for (const [change, errors] of [
        ...INVALID,
        [{ name: taken.name.toUpperCase() }, NAME_TAKEN],
        [{ email: taken.email.toUpperCase() }, EMAIL_TAKEN],
        [{ email: `${taken.email}.` }, EMAIL_TAKEN],
      ] as typeof INVALID) {
        const { status, json } = await browser.post('/register', aRegistration(change))
        const label = JSON.stringify(change).slice(0, 100)
        t.equal(status, 422, label)
        t.match(json?.errors, errors, label)
        t.strictSame(Object.keys(json?.errors ?? {}), Object.keys(errors), label)
      }
      t.equal(await countUsers(database), before)
      t.strictSame(app.mailbox.mails, [])
      t.equal((await browser.get('/api/me')).status, 401)
    })

    await t.test('a body without fields returns 422', async t => {
      const browser = await openBrowser(app)
      const { json } = await browser.post('/register', {})
      t.equal(json.message, 'The name field is required. (and 3 more errors)')
      for (const payload of ['[]', '"text"', 'null']) {
        const { status } = await browser.send('POST', '/register', { payload, headers: JSON_TYPE })
        t.equal(status, 422, payload)
      }
    })

    await t.test('terms without a value in a form are missing, and any value accepts them', async t => {
      const { terms: _, ...fields } = aRegistration()
      const browser = await openBrowser(app)
      const registerWith = (terms: string) =>
        browser.send('POST', '/register', {
          payload: `${new URLSearchParams(fields as Record<string, string>)}${terms}`,
          headers: { ...FORM, accept: 'application/json' },
        })
      for (const terms of ['', '&terms', '&terms=', '&terms=%20', '&terms[]=', '&terms[]', '&terms[x]=+']) {
        const { status, json } = await registerWith(terms)
        t.equal(status, 422, terms)
        t.strictSame(json.errors, { terms: requiredError('terms') }, terms)
      }
      t.equal((await registerWith('&terms[]=on')).status, 201)
    })

    await t.test('a name of invisible characters is empty', async t => {
      for (const name of [
        ...['\u3164', '\u115f', '\u115f\u1160', '\uffa0', '\u17b4', '\u034f', '\ufe0f', '\u200b', '\u2800'],
        ...['\u0301', '\u0301\u0308', '\u00ad', '\u180e', '\u{1d173}', '\u{e0001}', '\u202e\u2066', '\u093e'],
        ...['\u{e0100}', '\u2060\u0301\u2800', '  \u200b  ', '\u3000'],
      ]) {
        t.strictSame(await register(app, name), REQUIRED, encodeURI(name))
      }
    })

    await t.test('invisible characters are removed from a name', async t => {
      t.equal(await register(app, '\u202evis\u200di\u00adble\u3164\u200b\ufe0f'), null)
      t.equal(await lastName(database), 'visible')
      t.strictSame(await register(app, 'v\u{e0001}isible'), TAKEN)
      t.strictSame(await register(app, 'می\u200cخواهم'), null)
      t.equal(await lastName(database), 'میخواهم')
      t.strictSame(await register(app, 'a b'), DASHES)
    })

    await t.test('a name is taken in every case and form, and by names that look alike', async t => {
      for (const name of [
        'trimmed',
        'strasse',
        'Paypal',
        'bill',
        'modern',
        'Örjan',
        'аlla',
        'ガキ',
        'ſamuel',
      ]) {
        t.equal(await register(app, name), null, name)
      }
      for (const name of [
        ...[
          'Trimmed',
          'trímmed',
          'tri\u0301mmed',
          'ｔｒｉｍｍｅｄ',
          'straße',
          'STRAẞE',
          'paypaḷ',
          'раураl',
          'РАУРАL',
        ],
        ...[
          'ВILL',
          'вill',
          'вɪʟʟ',
          'mоdern',
          'rnоdern',
          'orjan',
          'ORJAN',
          'оrjan',
          'alla',
          'ALLA',
          'αlla',
          'がき',
          'SAMUEL',
          '𝐛𝐢𝐥𝐥',
        ],
      ]) {
        t.strictSame(await register(app, name), TAKEN, name)
      }
      for (const name of ['modem', 'paypa1', 'biII', 'trimmer'])
        t.equal(await register(app, name), null, name)
    })

    await t.test('names of staff and of the system are reserved', async t => {
      for (const name of [
        ...[
          'admin',
          'ADMIN',
          'аdmin',
          'АDMIN',
          'Ａdmin',
          'ádmin',
          'ᴀᴅᴍɪɴ',
          'root',
          'support',
          'ѕupport',
          'moderator',
        ],
        ...['system', 'security', 'postmaster', 'api', 'me', 'mе', '_admin_', 'no-reply'],
      ]) {
        t.strictSame(await register(app, name), TAKEN, name)
      }
    })

    await t.test('a change of a name follows the same rules', async t => {
      t.equal(await register(app, 'original'), null)
      const { user, browser } = await aLoggedInUser(app, database)
      for (const name of ['\u3164', '\u0301', '\u2800', '\u115f\u1160', '\u200b']) {
        t.strictSame(await rename(browser, name), REQUIRED, encodeURI(name))
      }
      for (const name of ['Original', 'órigînal', 'оriginal', 'original\u200b', 'admin', 'аdmin']) {
        t.strictSame(await rename(browser, name), TAKEN, name)
      }
      t.equal((await userById(database, user.id)).name, user.name)
    })

    await t.test('a changed name is taken, and the old one is free', async t => {
      const { user, browser } = await aLoggedInUser(app, database)
      const nameOf = async () => (await userById(database, user.id)).name
      t.equal(await rename(browser, 'mi\u200bne-è'), null)
      t.equal(await nameOf(), 'mine-è')
      t.equal(await rename(browser, 'MINE-e'), null, 'the own name in another form')
      t.strictSame(await register(app, 'mine-é'), TAKEN)
      t.equal(await register(app, user.name), null)
    })

    await t.test('users keep names that were registered before these rules', async t => {
      for (const names of [
        ['collide', 'cóllide'],
        ['postmaster', 'postmastеr'],
        ['with space', 'with\u200bspace'],
        ['cafe\u0301', '\u3164'],
      ] as const) {
        const users = [await aLoggedInUser(app, database), await aLoggedInUser(app, database)]
        for (const [index, { user }] of users.entries()) {
          await database.kysely
            .updateTable('users')
            .set({ name: names[index] ?? '' })
            .where('id', '=', user.id)
            .execute()
        }
        await fillUserKeys(database.kysely)
        for (const [index, { user, browser }] of users.entries()) {
          const name = names[index] ?? ''
          t.equal(await rename(browser, name), null, encodeURI(name))
          t.equal((await userById(database, user.id)).name, name)
        }
      }
      t.strictSame(await register(app, 'collidé'), TAKEN)
    })

    await t.test(
      'a name that Laravel stored without keys is taken, before and after it has keys',
      async t => {
        const app = await startApp(t, { database, environment: UNLIMITED })

        await database.kysely
          .insertInto('users')
          .values({ name: 'Unkeyed', email: 'unkeyed@example.org', password: '!' })
          .execute()
        for (const name of ['unkeyed', 'UNKEYED', 'ünkeyed', 'ｕnkeyed']) {
          t.strictSame(await register(app, name), TAKEN, name)
        }
        await app.fillUserKeys()
        t.strictSame(await register(app, 'unkeуed'), TAKEN)
        t.match(
          app.logged.filter(({ msg }) => /were filled in/.test(String(msg))),
          [{ users: 1 }],
        )
      },
    )
  })
}
