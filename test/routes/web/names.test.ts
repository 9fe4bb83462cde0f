import t, { type Test } from 'tap'
import { fillUserKeys } from '#src/database/user-keys.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aUser, PASSWORD } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const REQUIRED = ['The name field is required.']
const TAKEN = ['The name has already been taken.']
const DASHES = ['The name must only contain letters, numbers, dashes and underscores.']

for (const engine of ENGINES) {
  t.test(`user names on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await registering(t, database)
    await renaming(t, database)
    await keeping(t, database)
  })
}

let made = 0

/** Registers, and returns what is wrong with the name; null when it is somebody's now. */
async function register(app: TestApp, name: string): Promise<string[] | null> {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  made += 1
  const answer = await browser.post('/register', {
    name,
    email: `named-${made}@example.org`,
    password: PASSWORD,
    password_confirmation: PASSWORD,
    terms: true,
  })
  return answer.status === 201 ? null : answer.json.errors.name
}

async function member(app: TestApp, database: TestDatabase) {
  const user = await aUser(database, { password: PASSWORD })
  const browser = new TestBrowser(app)
  await browser.logIn({ email: user.email, password: PASSWORD })
  return { user, change: changing(browser), name: nameIn(browser) }
}

const changing = (browser: TestBrowser) => async (name: string) => {
  const answer = await browser.send('PUT', '/user/profile-information', { payload: { name } })
  return answer.status === 200 ? null : answer.json.errors.name
}
const nameIn = (browser: TestBrowser) => async () => (await browser.get('/api/me')).json.user.name

/** The name of whoever registered last. */
const lastName = async ({ kysely }: TestDatabase) =>
  (await kysely.selectFrom('users').select('name').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow())
    .name

async function registering(t: Test, database: TestDatabase) {
  await t.test('that show nothing are missing', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    for (const name of [
      ...['\u3164', '\u115f', '\u115f\u1160', '\uffa0', '\u17b4', '\u034f', '\ufe0f', '\u200b', '\u2800'],
      ...['\u0301', '\u0301\u0308', '\u00ad', '\u180e', '\u{1d173}', '\u{e0001}', '\u202e\u2066', '\u093e'],
      ...['\u{e0100}', '\u2060\u0301\u2800', '  \u200b  ', '\u3000'],
    ]) {
      t.strictSame(await register(app, name), REQUIRED, encodeURI(name))
    }
  })

  await t.test('lose what cannot be seen', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    t.equal(await register(app, '\u202evis\u200di\u00adble\u3164\u200b\ufe0f'), null)
    t.equal(await lastName(database), 'visible')
    t.strictSame(await register(app, 'v\u{e0001}isible'), TAKEN)
    t.strictSame(await register(app, 'می\u200cخواهم'), null)
    t.equal(await lastName(database), 'میخواهم')
    t.strictSame(await register(app, 'a b'), DASHES)
  })

  await t.test('are taken in every form, and by what looks like them', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
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
    for (const name of ['modem', 'paypa1', 'biII', 'trimmer']) t.equal(await register(app, name), null, name)
  })

  await t.test('of staff are reserved', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
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
}

async function renaming(t: Test, database: TestDatabase) {
  await t.test('are changed by the same rules', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    t.equal(await register(app, 'original'), null)
    const { user, change, name } = await member(app, database)
    for (const wanted of ['\u3164', '\u0301', '\u2800', '\u115f\u1160', '\u200b']) {
      t.strictSame(await change(wanted), REQUIRED, encodeURI(wanted))
    }
    for (const wanted of ['Original', 'órigînal', 'оriginal', 'original\u200b', 'admin', 'аdmin']) {
      t.strictSame(await change(wanted), TAKEN, wanted)
    }
    t.equal(await name(), user.name)
    t.equal(await change('mi\u200bne-è'), null)
    t.equal(await name(), 'mine-è')
    t.equal(await change('MINE-e'), null, 'the own name is not in the way')
    t.strictSame(await register(app, 'mine-é'), TAKEN, 'keys follow')
    t.equal(await register(app, user.name), null, 'and the old name is free')
  })
}

async function keeping(t: Test, database: TestDatabase) {
  await t.test('from before these rules stay', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const { kysely } = database
    for (const [name, other] of [
      ['collide', 'cóllide'],
      ['postmaster', 'postmastеr'],
      ['with space', 'with\u200bspace'],
      ['cafe\u0301', '\u3164'],
    ] as const) {
      const [one, two] = [await member(app, database), await member(app, database)]
      for (const [{ user }, value] of [
        [one, name],
        [two, other],
      ] as const) {
        await kysely.updateTable('users').set({ name: value }).where('id', '=', user.id).execute()
      }
      await fillUserKeys(kysely)
      for (const [{ change, name: present }, value] of [
        [one, name],
        [two, other],
      ] as const) {
        t.equal(await change(value), null, encodeURI(value))
        t.equal(await present(), value)
      }
    }
    t.strictSame(await register(app, 'collidé'), TAKEN)
  })

  await t.test('that others wrote count before they have keys', async t => {
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
      app.logged.filter(({ msg }) => /got their keys/.test(String(msg))),
      [{ users: 1 }],
    )
  })
}
