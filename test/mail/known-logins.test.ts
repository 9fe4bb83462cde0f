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
  t.test(`mails about logins from new browsers and networks, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testKnownLogins(t, database)
    await testNoMails(t, database)
    await testPruning(t, database)
  })
}

type User = { id: number; email: string; password: string }

const findKnownLogins = ({ kysely }: TestDatabase, { id }: Pick<User, 'id'>) =>
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

async function testKnownLogins(t: Test, database: TestDatabase) {
  await t.test(
    'a new network whose mail was suppressed by the limit is reported at its next login',
    async t => {
      const user = await aMember(database)
      const reportedAddresses = async (addresses: readonly string[]) => {
        // Another server starts with new mail counts, as after an hour.
        const { app, mails } = await startMailing(t, database)
        for (const address of addresses) await logIn(t, app, user, FIREFOX, address)
        await app.close()
        return mails.received.map(({ text }) => /^Address: (.*)$/m.exec(text ?? '')?.[1])
      }
      // The limit is five mails of a kind per hour.
      const networks = [1, 2, 3, 4, 5, 6].map(n => `100.64.${n}.1`)
      t.strictSame(await reportedAddresses([HOME, ...networks]), networks.slice(0, 5))
      t.strictSame(await reportedAddresses([HOME, ...networks]), networks.slice(5), 'only the suppressed one')
      t.strictSame(await reportedAddresses([HOME, ...networks]), [])
    },
  )

  await t.test('similar e-mail addresses have separate mail limits', async t => {
    const { app, mails } = await startMailing(t, database)
    const victim = await aMember(database)
    const attacker = await aMember(database)
    const lookalike = victim.email.replace(/^./, 'ü')
    await database.kysely
      .updateTable('users')
      .set({ email: lookalike })
      .where('id', '=', attacker.id)
      .execute()
    await logIn(t, app, { ...attacker, email: lookalike }, FIREFOX, HOME)
    for (let n = 1; n <= 7; n++) {
      await logIn(t, app, { ...attacker, email: lookalike }, FIREFOX, `100.64.${n}.1`)
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

  await t.test('a new browser and a new network are each reported once', async t => {
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
      await findKnownLogins(database, user),
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

  await t.test('a remembered device on a new network is reported', async t => {
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

  await t.test('concurrent logins from one new browser on two instances send one mail', async t => {
    const { app: first, mails } = await startMailing(t, database)
    const { app: other } = await startMailing(t, database, { mails })
    const user = await aMember(database)
    await logIn(t, first, user, FIREFOX, HOME)
    await Promise.all([first, other, first, other].map(app => logIn(t, app, user, CHROME, HOME)))
    await Promise.all([first.close(), other.close()])
    t.equal(mails.received.length, 1)
  })

  await t.test('a login succeeds when the known login cannot be stored', async t => {
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
      app.logged.find(({ msg }) => msg === 'a security mail could not be sent'),
      { level: 50 },
    )
  })
}

async function testNoMails(t: Test, database: TestDatabase) {
  await t.test('no mail for a registration, an unverified address, or if the kind is off', async t => {
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
    t.equal(mails.received.length, 1, 'an unverified address')
    const { id } = await database.kysely
      .selectFrom('users')
      .select('id')
      .where('email', '=', email)
      .executeTakeFirstOrThrow()
    t.equal((await findKnownLogins(database, { id })).length, 4)

    const { app: off } = await startMailing(t, database, {
      mails,
      environment: { MAIL_SECURITY_EVENTS: 'password-changed' },
    })
    const user = await aMember(database)
    await logIn(t, off, user, FIREFOX, HOME)
    await logIn(t, off, user, CHROME, ELSEWHERE)
    await off.close()
    t.equal(mails.received.length, 1)
    t.strictSame(await findKnownLogins(database, user), [], 'nothing is stored if the kind is off')
  })

  await t.test('at most five mails are sent per hour', async t => {
    const { app, mails } = await startMailing(t, database, { environment: UNLIMITED })
    const user = await aMember(database)
    for (let n = 0; n < 8; n += 1) await logIn(t, app, user, FIREFOX, `198.18.${n}.1`)
    await app.close()
    t.equal(mails.received.length, 5)
  })
}

async function testPruning(t: Test, database: TestDatabase) {
  await t.test('known logins that were not used for 400 days are pruned', async t => {
    const { app } = await startMailing(t, database)
    const user = await aMember(database)
    await logIn(t, app, user, FIREFOX, HOME)
    app.clock.advance(300 * DAY)
    await logIn(t, app, user, CHROME, HOME)
    app.clock.advance(101 * DAY)
    await app.lastUse.prune()
    t.strictSame(await findKnownLogins(database, user), [
      { kind: 'browser', value: 'Chrome on Windows' },
      { kind: 'network', value: '198.51.100.0/24' },
    ])
  })
}
