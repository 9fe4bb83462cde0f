import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { DAY } from '../fixtures/clock.ts'
import { linkIn } from '../fixtures/mailbox.ts'
import { browserAt, CHROME, FIREFOX, NEWER_FIREFOX, startMailing } from '../fixtures/mailing.ts'
import { UNLIMITED } from '../fixtures/settings.ts'
import { aMember, PASSWORD } from '../fixtures/users.ts'
import type { TestApp } from '../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../support/databases.ts'

const HOME = '198.51.100.7'
const SAME_NETWORK = '198.51.100.250'
const ELSEWHERE = '203.0.113.9'

for (const engine of ENGINES) {
  t.test(`logins from where nobody logged in before, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await known(t, database)
    await silent(t, database)
    await pruned(t, database)
  })
}

type User = { id: number; email: string; password: string }

const rows = ({ kysely }: TestDatabase, { id }: Pick<User, 'id'>) =>
  kysely
    .selectFrom('known_logins')
    .select(['kind', 'value'])
    .where('user_id', '=', id)
    .orderBy('kind')
    .orderBy('value')
    .execute()

const logIn = async (t: Test, app: TestApp, user: User, userAgent: string, address: string) => {
  const browser = browserAt(app, userAgent, address)
  t.equal((await browser.logIn(user)).status, 200)
  return browser
}

async function known(t: Test, database: TestDatabase) {
  await t.test('what the limit of mails keeps back is told when it comes again', async t => {
    const user = await aMember(database)
    const toldOf = async (addresses: readonly string[]) => {
      // Another server counts mails anew, as if an hour had passed.
      const { app, mails } = await startMailing(t, database)
      for (const address of addresses) await logIn(t, app, user, FIREFOX, address)
      await app.close()
      return mails.received.map(({ text }) => /^Address: (.*)$/m.exec(text ?? '')?.[1])
    }
    // As a telephone travels; five of a kind are an hour's.
    const networks = [1, 2, 3, 4, 5, 6].map(n => `100.64.${n}.1`)
    t.strictSame(await toldOf([HOME, ...networks]), networks.slice(0, 5))
    t.strictSame(await toldOf([HOME, ...networks]), networks.slice(5), 'and nothing else is')
    t.strictSame(await toldOf([HOME, ...networks]), [])
  })

  await t.test('addresses that merely look alike do not use up what the other is told', async t => {
    const { app, mails } = await startMailing(t, database)
    const victim = await aMember(database)
    const thief = await aMember(database)
    const lookalike = victim.email.replace(/^./, 'ü')
    await database.kysely.updateTable('users').set({ email: lookalike }).where('id', '=', thief.id).execute()
    await logIn(t, app, { ...thief, email: lookalike }, FIREFOX, HOME)
    for (let n = 1; n <= 7; n++) {
      await logIn(t, app, { ...thief, email: lookalike }, FIREFOX, `100.64.${n}.1`)
    }
    await logIn(t, app, victim, FIREFOX, HOME)
    await logIn(t, app, victim, CHROME, ELSEWHERE)
    await app.close()
    t.strictSame(
      mails.received.at(-1)?.to?.map(({ address }) => address),
      [victim.email],
    )
    t.equal(mails.received.length, 6)
  })

  await t.test('a mail tells of a new browser and of a new network, and of neither twice', async t => {
    const { app, mails } = await startMailing(t, database)
    const user = await aMember(database)
    await logIn(t, app, user, FIREFOX, HOME)
    await logIn(t, app, user, FIREFOX, SAME_NETWORK)
    await logIn(t, app, user, NEWER_FIREFOX, HOME)
    await logIn(t, app, user, CHROME, HOME)
    const browser = await mails.next()
    t.equal(browser.subject, 'New login to your AnimeThemes account')
    t.match(browser.to, [{ name: user.name, address: user.email }])
    t.match(browser.text, /from a browser that was not used for it before/)
    t.match(browser.text, /^When: 2026-03-01 12:00 UTC$/m)
    t.match(browser.text, /^Program: Chrome on Windows$/m)
    t.match(browser.text, /^Address: 198\.51\.100\.7$/m)
    t.equal(linkIn({ text: browser.text ?? '' }).pathname, '/admin/not-me')
    t.match(browser.html, /Chrome on Windows/)
    t.match(browser.html, />This was not me</)
    await logIn(t, app, user, CHROME, ELSEWHERE)
    const network = await mails.next()
    t.match(network.text, /from a network that was not used/)
    t.match(network.text, /^Address: 203\.0\.113\.9$/m)
    await logIn(t, app, user, 'curl/8.5.0', '2001:db8:1:2::3')
    const both = await mails.next()
    t.match(both.text, /from a browser and a network that were not used/)
    t.match(both.text, /^Address: 2001:db8:1:2::3$/m)
    await logIn(t, app, user, 'curl/8.5.0', '2001:db8:1:ffff::9')
    await app.close()
    t.equal(mails.received.length, 3)
    t.strictSame(
      await rows(database, user),
      [
        { kind: 'browser', value: 'Chrome on Windows' },
        { kind: 'browser', value: 'Firefox on Linux' },
        { kind: 'browser', value: 'curl' },
        { kind: 'network', value: '198.51.100.0/24' },
        { kind: 'network', value: '2001:db8:1::/48' },
        { kind: 'network', value: '203.0.113.0/24' },
      ].toSorted((a, b) => (a.kind + a.value < b.kind + b.value ? -1 : 1)),
    )
  })

  await t.test('a remembered browser that comes from elsewhere counts as well', async t => {
    const { app, mails } = await startMailing(t, database)
    const user = await aMember(database)
    const browser = browserAt(app, FIREFOX, HOME)
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/login', { ...user, remember: true })
    for (const name of ['animethemes_session', 'XSRF-TOKEN']) browser.cookies.delete(name)
    browser.page = { ...browser.page, 'x-forwarded-for': ELSEWHERE }
    t.equal((await browser.get('/api/me')).status, 200)
    t.match((await mails.next()).text, /^Address: 203\.0\.113\.9$/m)
  })

  await t.test(
    'of two at once from the same new browser one is told, whichever instance they reach',
    async t => {
      const { app: one, mails } = await startMailing(t, database)
      const { app: other } = await startMailing(t, database, { mails })
      const user = await aMember(database)
      await logIn(t, one, user, FIREFOX, HOME)
      await Promise.all([one, other, one, other].map(app => logIn(t, app, user, CHROME, HOME)))
      await Promise.all([one.close(), other.close()])
      t.equal(mails.received.length, 1)
    },
  )

  await t.test('an answer does not wait for it, and is the same when it cannot be stored', async t => {
    const { app, mails } = await startMailing(t, database)
    const user = await aMember(database)
    const { schema } = database.kysely
    await database.kysely.deleteFrom('known_logins').execute()
    await schema.alterTable('known_logins').addCheckConstraint('never', sql`false`).execute()
    await logIn(t, app, user, FIREFOX, HOME)
    await app.close()
    await schema.alterTable('known_logins').dropConstraint('never').execute()
    t.equal(mails.received.length, 0)
    t.match(
      app.logged.find(({ msg }) => msg === 'a mail about an account could not be sent'),
      { level: 50 },
    )
  })
}

async function silent(t: Test, database: TestDatabase) {
  await t.test('nobody is told who registers, was never verified or turned it off', async t => {
    const { app, mails } = await startMailing(t, database)
    const browser = browserAt(app, FIREFOX, HOME)
    await browser.get('/sanctum/csrf-cookie')
    const name = `known${process.pid}${database.statements.length}`
    const email = `${name}@example.org`
    const registered = await browser.post('/register', {
      name,
      email,
      terms: true,
      password: PASSWORD,
      password_confirmation: PASSWORD,
    })
    t.equal(registered.status, 201)
    t.match((await mails.next()).subject, /^Verify/)
    await logIn(t, app, { id: 0, email, password: PASSWORD }, CHROME, ELSEWHERE)
    await app.close()
    t.equal(mails.received.length, 1, 'an address that nobody has shown to be theirs')
    const { id } = await database.kysely
      .selectFrom('users')
      .select('id')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal((await rows(database, { id })).length, 4)

    const { app: off } = await startMailing(t, database, {
      mails,
      environment: { MAIL_SECURITY_EVENTS: 'password-changed' },
    })
    const user = await aMember(database)
    await logIn(t, off, user, FIREFOX, HOME)
    await logIn(t, off, user, CHROME, ELSEWHERE)
    await off.close()
    t.equal(mails.received.length, 1)
    t.strictSame(await rows(database, user), [], 'and nothing is stored that is not told')
  })

  await t.test('five an hour are enough', async t => {
    const { app, mails } = await startMailing(t, database, { environment: UNLIMITED })
    const user = await aMember(database)
    for (let n = 0; n < 8; n += 1) await logIn(t, app, user, FIREFOX, `198.18.${n}.1`)
    await app.close()
    t.equal(mails.received.length, 5)
  })
}

async function pruned(t: Test, database: TestDatabase) {
  await t.test('what was not used for 400 days is forgotten, what was used is not', async t => {
    const { app } = await startMailing(t, database)
    const user = await aMember(database)
    await logIn(t, app, user, FIREFOX, HOME)
    app.clock.advance(300 * DAY)
    await logIn(t, app, user, CHROME, HOME)
    app.clock.advance(101 * DAY)
    await app.activity.prune()
    t.strictSame(await rows(database, user), [
      { kind: 'browser', value: 'Chrome on Windows' },
      { kind: 'network', value: '198.51.100.0/24' },
    ])
  })
}
