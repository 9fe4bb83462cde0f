import fc from 'fast-check'
import fastify from 'fastify'
import t from 'tap'
import { canonicalizeAddress } from '#src/auth/address-list.ts'
import { SessionId } from '#src/auth/session.ts'
import { createForwardedReader } from '#src/http/forwarded.ts'
import { parseForwarded } from '#src/http/forwarded-header.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { UNLIMITED } from '../fixtures/settings.ts'
import { aMember, aUser } from '../fixtures/users.ts'
import { get, startApp, type TestApp } from '../support/app.ts'
import { createDatabase } from '../support/databases.ts'
import { RawClient } from '../support/raw-client.ts'

const database = await createDatabase(t, 'postgres')
t.teardown(() => database.close())

t.test('a Forwarded header (RFC 7239) is parsed', async t => {
  for (const [header, ...expected] of [
    [
      'for=192.0.2.60;proto=http;by=203.0.113.43;host=a.test',
      { for: '192.0.2.60', proto: 'http', host: 'a.test' },
    ],
    ['For="[2001:db8:cafe::17]:4711"', { for: '2001:db8:cafe::17' }],
    ['for="[2001:db8::1]"', { for: '2001:db8::1' }],
    ['for=192.0.2.43:80, for=198.51.100.17', { for: '192.0.2.43' }, { for: '198.51.100.17' }],
    [
      'for=unknown, FOR = "_hidden:_port" ; host="a,b;c\\"d"',
      { for: 'unknown' },
      { for: '_hidden:_port', host: 'a,b;c"d' },
    ],
    ['proto=https', { proto: 'https' }],
    ['x=1;for=a', { for: 'a' }],
    [' , for=192.0.2.1;; ,', { for: '192.0.2.1' }],
    [''],
    [`for=${'1'.repeat(9_000)}, for=192.0.2.1`, { for: '1'.repeat(9_000) }, { for: '192.0.2.1' }],
  ] as const) {
    t.strictSame(parseForwarded(header), expected, header.slice(0, 80))
  }
  for (const malformed of [
    'garbage',
    '"'.repeat(1_000),
    'for="\\'.repeat(160),
    'for=192.0.2.9;x=", for="[2001:db8::9]"',
    'for=192.0.2.9;x=", for=198.51.100.7',
    'for="x, for="[2001:db8::9]"',
    'for=192.0.2.9 for=198.51.100.7',
    '=x',
  ]) {
    t.equal(parseForwarded(malformed), null, malformed.slice(0, 80))
  }
})

t.test('FORWARDED_HEADER names the headers that count', async t => {
  const environment = { ...UNLIMITED, TRUSTED_PROXIES: '127.0.0.1', APP_URL: 'https://a.test' }
  const rfc7239 = await startApp(t, {
    database,
    environment: { ...environment, FORWARDED_HEADER: 'forwarded' },
  })
  const usual = await startApp(t, { database, environment })
  const forwarded = 'for=198.51.100.1, for="[2001:db8::7]:80";host=a.test;proto=https'
  const both = {
    host: 'a.test',
    forwarded,
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-host': 'evil.test',
  }
  const seenBy = async (app: TestApp) => {
    // Forwarded headers are replaced before the router, which inject() does not pass.
    const client = await RawClient.connect(t, app)
    client.head('GET /unknown', both)
    await client.answer()
    return app.logged.findLast(({ msg }) => msg === 'request')?.address
  }
  for (const forged of ['for=192.0.2.9;x=", for="[2001:db8::9]"', 'for="x, for="[2001:db8::9]"']) {
    const client = await RawClient.connect(t, rfc7239)
    client.head('GET /api/playlist', { host: 'a.test', forwarded: forged })
    t.equal((await client.answer()).status, 400, 'a quotation that the proxy would close')
  }
  t.equal(await seenBy(rfc7239), '2001:db8::7')
  t.equal(await seenBy(usual), '203.0.113.9')
})

t.test('TRUSTED_PROXIES=hops:2 trusts two proxies, whatever their addresses', async t => {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, TRUSTED_PROXIES: 'hops:2' } })
  for (const [forwardedFor, seen] of [
    ['198.51.100.1', '198.51.100.1'],
    ['198.51.100.1, 192.0.2.2', '198.51.100.1'],
    ['203.0.113.9, 198.51.100.1, 192.0.2.2', '198.51.100.1'],
    ['203.0.113.9, garbage, 192.0.2.2', '192.0.2.2'],
  ] as const) {
    await get(app, '/unknown', undefined, { 'x-forwarded-for': forwardedFor })
    t.equal(app.logged.findLast(({ msg }) => msg === 'request')?.address, seen, forwardedFor)
  }
})

t.test('KEEP_ALIVE_TIMEOUT is that of the server', async t => {
  t.equal((await startApp(t, { database })).server.keepAliveTimeout, 72_000)
  const environment = { KEEP_ALIVE_TIMEOUT: '5' }
  t.equal((await startApp(t, { database, environment })).server.keepAliveTimeout, 5_000)
})

const address = fc.constantFrom('127.0.0.1', '10.0.0.1', '198.51.100.7', '::ffff:10.0.0.2', 'fc00::1')
const host = fc.constantFrom('a.test', 'b.test:8000', '[::1]:80', '', ' ')
const list = (item: fc.Arbitrary<string>) => fc.array(item, { maxLength: 3 }).map(items => items.join(', '))

t.test('client address and host equal those of Fastify with the same trusted proxies', async t => {
  for (const proxies of [
    [],
    ['*'],
    ['127.0.0.1'],
    ['loopback', 'uniquelocal'],
    ['10.0.0.0/8', '127.0.0.0/8'],
    ['hops:1'],
    ['hops:2'],
  ]) {
    const forwarded = createForwardedReader(proxies)
    const app = fastify({ trustProxy: forwarded.trustProxy })
    t.teardown(() => app.close())
    app.get('/', async request => ({
      fastify: [canonicalizeAddress(request.ip), request.host],
      ours: [forwarded.addressOf(request.raw), forwarded.hostOf(request.raw)],
    }))
    const headers = fc.record(
      { 'x-forwarded-for': list(address), 'x-forwarded-host': list(host), host },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(
        headers,
        fc.constantFrom('127.0.0.1', '198.51.100.1'),
        async (headers, remoteAddress) => {
          const { fastify, ours } = (await app.inject({ url: '/', headers, remoteAddress })).json()
          t.strictSame(ours, fastify, JSON.stringify({ proxies, headers, remoteAddress }))
        },
      ),
      { numRuns: 100 },
    )
  }
})

t.test('X-Forwarded-For is read up to the first untrusted or invalid address', async t => {
  const { addressOf } = createForwardedReader(['127.0.0.1', '10.0.0.0/8', 'fd00::/8'])
  for (const [forwarded, address] of [
    ['198.51.100.7', '198.51.100.7'],
    ['203.0.113.9, 198.51.100.7:5000', '198.51.100.7'],
    ['203.0.113.9, [2001:db8::7]:5000', '2001:db8::7'],
    ['198.51.100.7, 10.0.0.1:5000', '198.51.100.7'],
    ['198.51.100.7, ::ffff:10.0.0.1, [fd00::1]:80', '198.51.100.7'],
    ['198.51.100.7, garbage, 10.0.0.1', '10.0.0.1'],
    ['198.51.100.7,', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
    ['x'.repeat(10_000), '127.0.0.1'],
    ['1'.repeat(46), '127.0.0.1'],
    ['', '127.0.0.1'],
  ] as const) {
    const request = {
      socket: { remoteAddress: '::ffff:127.0.0.1' },
      headers: { 'x-forwarded-for': forwarded },
    }
    t.equal(addressOf(request as never), address, forwarded.slice(0, 60))
  }
})

t.test('an ended connection has no address', async t => {
  const ended = { socket: {}, headers: { 'x-forwarded-for': '10.0.0.1', host: 'a' } }
  for (const proxies of [[], ['*'], ['10.0.0.1']]) {
    const { addressOf, hostOf } = createForwardedReader(proxies)
    t.equal(addressOf(ended as never), '')
    t.equal(hostOf(ended as never), 'a')
  }
})

const environment = { ...UNLIMITED, TRUSTED_PROXIES: '127.0.0.1' }

/** Values of X-Forwarded-For, and the client address under one trusted proxy. */
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

t.test('a login behind a proxy stores the canonical address', async t => {
  const app = await startApp(t, { database, environment })
  const user = await aMember(database)
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

t.test('allowed_ips of a token match the forwarded address in any spelling', async t => {
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
