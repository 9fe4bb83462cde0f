import t from 'tap'
import { SessionId } from '#src/auth/session.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { aUser } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

const environment = { TRUSTED_PROXIES: '127.0.0.1', LOGIN_RATE_LIMIT: '1000', RATE_LIMIT_FAILED_AUTH: '1000' }

/** Spellings of X-Forwarded-For, with the address that they stand for. */
const SPELLINGS = [
  ['198.51.100.7', '198.51.100.7'],
  ['198.51.100.7:51234', '198.51.100.7'],
  ['::ffff:198.51.100.7', '198.51.100.7'],
  ['[::ffff:c633:6407]:443', '198.51.100.7'],
  ['203.0.113.9, 198.51.100.7', '198.51.100.7'],
  ['2001:db8::7', '2001:db8::7'],
  ['[2001:DB8:0:0:0:0:0:7]:51234', '2001:db8::7'],
  ['2001:db8::7%eth0', '2001:db8::7'],
  ['0000:0000:0000:0000:0000:ffff:198.051.100.007', '127.0.0.1'],
  ['x'.repeat(46), '127.0.0.1'],
  ['unknown', '127.0.0.1'],
  ['198.51.100.7, ', '127.0.0.1'],
  ['', '127.0.0.1'],
] as const

t.test('a login behind a proxy stores the address in one spelling', async t => {
  const app = await startApp(t, { database, environment })
  const user = { ...(await aUser(database, { password: 'correct horse' })), password: 'correct horse' }
  for (const [forwarded, address] of SPELLINGS) {
    const browser = new TestBrowser(app)
    const headers = { 'x-forwarded-for': forwarded }
    await browser.get('/sanctum/csrf-cookie', { headers })
    const { status } = await browser.post(
      '/login',
      { email: user.email, password: user.password },
      { headers },
    )
    t.equal(status, 200, forwarded)
    const session = await database.kysely
      .selectFrom('sessions')
      .select('ip_address')
      .where('id', '=', new SessionId(browser.sessionId).digest())
      .executeTakeFirstOrThrow()
    t.equal(session.ip_address, address, forwarded)
  }
  const known = await database.kysely
    .selectFrom('login_addresses')
    .select('address')
    .where('user_id', '=', user.id)
    .orderBy('address')
    .execute()
  t.strictSame(
    known.map(({ address }) => address),
    ['127.0.0.1', '198.51.100.7', '2001:db8::'],
  )
})

t.test('a token that is bound to addresses', async t => {
  const app = await startApp(t, { database, environment })
  for (const allowed of [
    ['198.51.100.7'],
    ['198.51.100.0/24'],
    ['::ffff:198.51.100.7'],
    ['2001:db8::/32'],
    ['2001:DB8:0::7'],
  ]) {
    const user = await aUser(database)
    await database.kysely
      .updateTable('personal_access_tokens')
      .set({ allowed_ips: JSON.stringify(allowed) })
      .where('id', '=', user.tokenId)
      .execute()
    const isV6 = /db8/i.test(allowed.join())
    for (const [forwarded, address] of SPELLINGS) {
      const isAllowed = address === (isV6 ? '2001:db8::7' : '198.51.100.7')
      const { status } = await get(app, '/api/me', user.token, { 'x-forwarded-for': forwarded })
      t.equal(status, isAllowed ? 200 : 401, `${allowed} from ${forwarded}`)
    }
  }
})
