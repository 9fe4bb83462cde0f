import { createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { User } from '#src/auth/identity.ts'
import { type FirstParty, firstParty, isOpenToAnybody, isWritten, ownHosts } from '#src/auth/origin.ts'
import {
  mintSessionId,
  parseSessionId,
  parseSessionPayload,
  passwordStamp,
  remainingMs,
  SessionId,
  type SessionPayload,
} from '#src/auth/session.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import { judgeSession, type StoredSession } from '#src/auth/stored-session.ts'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'

const OWN = new URL('https://api.own.test')

const judge = (
  party: FirstParty,
  { referers = [], origin, host = 'api.own.test', fetchSite }: Partial<Parameters<FirstParty['judge']>[0]>,
) => party.judge({ referers, origin, host, fetchSite }).isFirstParty

t.test('a first party', async t => {
  const party = firstParty(
    ['example.com', '*.example.com', 'http://localhost:3000', 'http://::1', 'http://[::1]:3000'],
    OWN,
  )

  t.test('is one by the page that the request comes from', async t => {
    for (const [page, expected] of [
      ['https://example.com', true],
      ['https://example.com/', true],
      ['https://example.com/a?b=/c', true],
      ['https://example.com?a', true],
      ['https://example.com#a', true],
      ['http://example.com', false],
      ['http://a.example.com/x', false],
      ['https://localhost:3000/x', false],
      ['example.com', true],
      ['https://a.b.example.com', true],
      ['http://localhost:3000/x', true],
      ['http://[::1]', true],
      ['http://[::1]:3000/x', true],
      ['https://api.own.test/docs/', true],
      ['https://example.com:443', false],
      ['https://example.com:8443', false],
      ['https://EXAMPLE.com', false],
      ['https://Example.com/', false],
      ['HTTPS://example.com', false],
      ['https://example.com.', false],
      ['https://example.com.evil.com', false],
      ['https://example.com@evil.com/', false],
      ['https://user:pw@example.com/', false],
      ['https://evilexample.com', false],
      ['https://evil.com/.example.com/', false],
      ['https://evil.com/?x=.example.com', false],
      ['https://evil.com#.example.com', false],
      ['https://evil.com\\.example.com', false],
      ['https://ex\u0430mple.com', false],
      ['https://xn--exmple-4nf.com', false],
      ['https://example\u3002com', false],
      ['https://exa\r\nmple.com', false],
      ['https://example.com\r\n', false],
      ['\thttps://example.com', false],
      ['https:example.com', false],
      ['https:/example.com', false],
      ['//example.com', false],
      ['null', false],
      ['http://localhost:30000', false],
      ['http://localhost', false],
      ['ftp://example.com', false],
      ['file:///example.com', false],
      ['javascript:example.com', false],
      ['http://https://example.com', false],
      ['http://api.own.test/', false],
      ['https://api.own.test:8443/', false],
      [`https://${'a.'.repeat(200)}example.com`, false],
    ] as const) {
      t.equal(judge(party, { referers: [page] }), expected, `Referer ${JSON.stringify(page)}`)
      t.equal(judge(party, { origin: page }), expected, `Origin ${JSON.stringify(page)}`)
    }
  })

  t.test('22–30 is told by Referer, else by Origin, else by the browser itself', async t => {
    const party = firstParty(['test.com', '*.test.com'], OWN)
    t.equal(judge(party, { referers: ['https://test.com'] }), true)
    t.equal(judge(party, { referers: ['https://wrong.com'] }), false)
    t.equal(judge(party, { referers: ['https://test.com.x'] }), false)
    t.equal(judge(party, { referers: ['https://foobar.test.com/'] }), true)
    t.equal(judge(party, { origin: 'test.com' }), true)
    t.equal(judge(party, { referers: [''], origin: 'https://test.com' }), true, 'an empty Referer is none')
    t.equal(judge(party, { referers: ['https://wrong.com'], origin: 'https://test.com' }), false)
    t.equal(judge(party, { referers: ['https://test.com'], origin: 'https://wrong.com' }), true)
    t.equal(judge(party, { referers: ['https://test.com', 'https://test.com'] }), false, 'two of them')
    t.equal(judge(party, {}), false)
    t.equal(judge(party, { fetchSite: 'same-origin' }), true, 'a page that keeps its address to itself')
    for (const fetchSite of ['same-site', 'cross-site', 'none', 'SAME-ORIGIN', 'same-origin, none']) {
      t.equal(judge(party, { fetchSite }), false, fetchSite)
    }
    t.equal(judge(party, { origin: 'https://wrong.com', fetchSite: 'same-origin' }), false)
    const alias = { referers: ['https://alias.test/docs/'], fetchSite: 'same-origin' }
    t.equal(judge(party, { ...alias, host: 'alias.test' }), true, 'a page that we served under another name')
    t.equal(judge(party, { ...alias, host: 'alias.test:443' }), true)
    t.equal(judge(party, { ...alias, host: 'alias.test:8443' }), false)
    t.equal(judge(party, { ...alias, host: 'alias.test', fetchSite: 'same-site' }), false)
    t.equal(judge(party, { ...alias, host: 'alias.test', referers: [...alias.referers, 'x'] }), false)
    t.equal(judge(firstParty([], OWN), { referers: ['https://test.com'] }), false)
    t.equal(judge(firstParty([], OWN), { referers: ['https://api.own.test/docs/'] }), true)
  })

  t.test('has nothing more before and behind what the pattern has', async t => {
    const party = firstParty(['*.example.com', 'spa-*.example.org'], OWN)
    t.equal(judge(party, { referers: ['https://a.example.com.evil.com/'] }), false)
    t.equal(judge(party, { referers: ['https://evilspa-1.example.org/'] }), false)
    t.equal(judge(party, { referers: ['https://spa-1.example.org/'] }), true)
  })

  t.test("has APP_URL's scheme, unless another is given", async t => {
    const patterns = ['spa.test', 'https://safe.test', 'http://*.lan:*', '*.wild.test']
    for (const [page, underHttps, underHttp] of [
      ['https://spa.test/', true, false],
      ['http://spa.test/', false, true],
      ['spa.test', true, true],
      ['https://safe.test/', true, true],
      ['http://safe.test/', false, false],
      ['http://a.lan:5173', true, true],
      ['https://a.lan:5173', false, false],
      ['http://a.lan', false, false],
      ['https://a.wild.test', true, false],
      ['http://a.wild.test', false, true],
    ] as const) {
      for (const [own, expected] of [
        [OWN, underHttps],
        [new URL('http://api.own.test'), underHttp],
      ] as const) {
        const party = firstParty(patterns, own)
        t.equal(judge(party, { referers: [page] }), expected, `${page} under ${own}`)
      }
    }
  })

  t.test('34 can be the host that the request names', async t => {
    const party = firstParty(['other.test', '__SANCTUM_CURRENT_REQUEST_HOST__'], OWN)
    t.equal(judge(party, { referers: ['https://a.test:81/x'], host: 'a.test:81' }), true)
    t.equal(judge(party, { referers: ['http://a.test:81/x'], host: 'a.test:81' }), false, 'over plain HTTP')
    t.equal(judge(party, { referers: ['https://a.test/x'], host: 'a.test:81' }), false)
    t.equal(judge(party, { referers: ['https://b.test:81/x'], host: 'a.test:81' }), false)
    t.equal(judge(party, { referers: ['https://a.test/x'], host: 'a.test:443' }), true)
    t.equal(judge(party, { referers: ['http://a.test/x'], host: 'a.test:443' }), false)
    const same = { referers: ['https://a.test:81/x'] }
    t.equal(judge(party, { ...same, host: 'b.test:81' }), false, 'the same page may ask another host')
    t.equal(judge(party, { referers: ['https://evila.test:81/x'], host: 'a.test:81' }), false)
    t.equal(judge(party, { referers: ['https://evil.test/x'], host: '' }), false)
    const pinned = firstParty(['https://__SANCTUM_CURRENT_REQUEST_HOST__'], OWN)
    t.equal(judge(pinned, { referers: ['https://a.test/x'], host: 'a.test' }), true)
    t.equal(judge(pinned, { referers: ['http://a.test/x'], host: 'a.test' }), false)
  })

  t.test('is this machine under each of its names, if APP_URL is one of them', async t => {
    const party = firstParty([], new URL('http://127.0.0.1:8080'))
    for (const [page, expected] of [
      ['http://127.0.0.1:8080/docs/', true],
      ['http://localhost:8080/docs/', true],
      ['http://[::1]:8080/docs/', true],
      ['http://localhost/', false],
      ['http://localhost:8081/', false],
      ['https://localhost:8080/', false],
    ] as const) {
      t.equal(judge(party, { referers: [page] }), expected, page)
    }
  })

  t.test('is everybody under *, but for a page without an origin', async t => {
    const party = firstParty(['*'], OWN)
    t.equal(judge(party, { origin: 'https://anything.test' }), true)
    t.equal(judge(party, { origin: 'null' }), false)
  })

  t.test('is nobody whose host is not in the list, whatever else stands in the URL', async () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), url => {
        const { host } = new URL(url)
        const expected = host === 'example.com' || host.endsWith('.example.com')
        return judge(party, { referers: [url] }) === expected
      }),
    )
  })

  t.test('tells why a page is none, without telling the rest of its address', async t => {
    const refused = party.judge({
      referers: ['https://evil.com/secret?token=1'],
      origin: undefined,
      host: '',
      fetchSite: undefined,
    })
    t.match(refused, { isFirstParty: false, reason: /Referer https:\/\/evil\.com is neither .*example\.com/ })
    t.notMatch(refused, { reason: /secret|token/ })
    t.match(party.judge({ referers: [], origin: undefined, host: '', fetchSite: undefined }), {
      reason: 'it has neither a Referer nor an Origin header',
    })
  })
})

t.test('a pattern', async t => {
  t.test('is open to anybody without a domain of somebody behind its last wildcard', async t => {
    for (const pattern of [
      '*',
      '*:*',
      'https://*',
      '*:3000',
      '*.com',
      '*.co.uk',
      'https://*.vercel.app',
      '*o*',
      'example.*',
      'example.org.*',
      '*example.org',
      '192.168.*',
      '[*]',
      '*.localhost',
    ]) {
      t.equal(isOpenToAnybody(pattern), true, pattern)
    }
    for (const pattern of [
      'example.org',
      '*.example.org',
      '*.example.org:*',
      'https://pr-*.preview.example.co.uk:8443',
      '*-x.example.org',
      '*.mine.vercel.app',
      'localhost:*',
      '[::1]:3000',
      '__SANCTUM_CURRENT_REQUEST_HOST__',
    ]) {
      t.equal(isOpenToAnybody(pattern), false, pattern)
    }
  })

  t.test('is written as browsers write hosts', async t => {
    for (const pattern of [
      'localhost',
      'localhost:3000',
      'https://Example.org',
      'https://example.org:80',
      '127.0.0.1:8000',
      '::1',
      '[::1]:3000',
      'http://[2001:db8::1]',
      '*.example.org:443',
      '__SANCTUM_CURRENT_REQUEST_HOST__',
    ]) {
      t.equal(isWritten(pattern), true, pattern)
    }
    for (const pattern of [
      'example.org:443',
      'example.org:80',
      'https://example.org:443',
      'http://example.org:80',
      '0:0:0:0:0:0:0:1',
      '[0::1]:3000',
      '127.1',
      'example.org:99999',
      '[::1',
      'a:b:c',
    ]) {
      t.equal(isWritten(pattern), false, pattern)
    }
  })
})

t.test('a host is ours by its name, or by its domain', async t => {
  const isOurs = ownHosts(['api.example.org', '*.Example.net', '[::1]'])
  for (const host of ['api.example.org', 'API.example.org:8000', 'a.b.example.net', '[::1]:8000']) {
    t.equal(isOurs(host), true, host)
  }
  for (const host of [
    '',
    'example.org',
    'x.api.example.org',
    'example.net',
    'evilexample.net',
    'example.net.evil',
  ]) {
    t.equal(isOurs(host), false, host)
  }
})

t.test('a session id', async t => {
  const id = mintSessionId(randomBytes)

  t.test('is 256 random bits, of which a digest is stored', async t => {
    t.equal(Buffer.from(id.reveal(), 'base64url').length, 32)
    t.not(mintSessionId(randomBytes).reveal(), id.reveal())
    t.equal(id.digest(), createHash('sha256').update(id.reveal()).digest('hex'))
    t.equal(parseSessionId(id.reveal())?.digest(), id.digest())
  })

  t.test('is nothing else', async t => {
    const text = id.reveal()
    for (const value of [
      '',
      text.slice(1),
      `${text}A`,
      `${text.slice(0, -1)}B`,
      `${text}=`,
      `"${text}"`,
      text.replace(/.$/, '+'),
      ` ${text.slice(1)}`,
      'x'.repeat(40),
      '../../../etc/passwd',
      '\0'.repeat(43),
      '1|token|hash',
    ]) {
      t.equal(parseSessionId(value), null, value)
    }
  })

  t.test('has a CSRF token of its own', async t => {
    t.match(id.csrfToken(), /^[\w-]{43}$/)
    t.not(id.csrfToken(), id.reveal())
    t.not(Buffer.from(id.csrfToken(), 'base64url').toString('hex'), id.digest(), 'nor is it what is stored')
    t.equal(id.accepts(id.csrfToken()), true)
    t.equal(new SessionId(id.reveal()).accepts(id.csrfToken()), true, 'which follows from it')
    const other = mintSessionId(randomBytes)
    for (const wrong of [
      other.csrfToken(),
      id.reveal(),
      id.digest(),
      '',
      `${id.csrfToken()}=`,
      'é'.repeat(43),
    ]) {
      t.equal(id.accepts(wrong), false, wrong)
    }
  })

  t.test('stands in no log', async t => {
    const shown = [String(id), JSON.stringify({ id }), inspect({ id }, { depth: 9 }), `${id}`].join()
    t.notOk(shown.includes(id.reveal()))
    t.match(shown, '[SessionId]')
  })
})

t.test('a stored session', async t => {
  const id = mintSessionId(randomBytes)
  const lifetimes = { sessionLifetime: 120, sessionAbsoluteLifetime: null }
  const owner = {
    user: { id: 7 } as User,
    permissions: new Set(['a']),
    prohibitions: new Set<string>(),
    ban: null,
    changesAt: null,
    password: passwordStamp('hash'),
  }
  const at = NOW / 1000
  const payload = (more: object = {}) => parseSessionPayload(JSON.stringify({ created_at: at, ...more }))
  const anonymous: StoredSession = { userId: null, payload: payload(), lastActivity: at, owner: null }
  const loggedIn: StoredSession = {
    userId: 7,
    payload: payload({ password: passwordStamp('hash') }),
    lastActivity: at,
    owner,
  }

  t.test("is somebody's, or nobody's", async t => {
    t.match(judgeSession(id, anonymous, NOW, lifetimes), { session: { userId: null }, identity: null })
    t.match(judgeSession(id, loggedIn, NOW, lifetimes), {
      session: { userId: 7, passwordConfirmedAt: null },
      identity: { via: 'session', user: { id: 7 }, permissions: new Set(['a']) },
    })
    const confirmed = {
      ...loggedIn,
      payload: payload({ password: passwordStamp('hash'), password_confirmed_at: at }),
    }
    t.match(judgeSession(id, confirmed, NOW, lifetimes), { session: { passwordConfirmedAt: NOW } })
  })

  t.test('ends when it was not used, to the second', async t => {
    t.type(judgeSession(id, loggedIn, NOW + 120 * MINUTE, lifetimes), 'object')
    t.equal(judgeSession(id, loggedIn, NOW + 120 * MINUTE + 1, lifetimes), 'session_expired')
  })

  t.test('ends at its absolute lifetime, however busy it is', async t => {
    const limited = { sessionLifetime: 120, sessionAbsoluteLifetime: 300 }
    const busy = { ...loggedIn, lastActivity: at + 300 * 60 }
    t.type(judgeSession(id, busy, NOW + 300 * MINUTE - 1, limited), 'object')
    t.equal(judgeSession(id, busy, NOW + 300 * MINUTE, limited), 'session_expired')
    const session = { createdAt: NOW, enteredAt: NOW, passwordConfirmedAt: null }
    t.equal(remainingMs(session, NOW, limited), 120 * MINUTE)
    t.equal(remainingMs(session, NOW + 290 * MINUTE, limited), 10 * MINUTE)
  })

  t.test('ends 400 days after the password was last entered, whatever the lifetimes are', async t => {
    const endless = { sessionLifetime: 10_000_000, sessionAbsoluteLifetime: null }
    const entered = NOW - 399 * DAY
    const payload = { ...(loggedIn.payload as SessionPayload), entered_at: entered / 1000 }
    const remembered = { ...loggedIn, payload }
    t.type(judgeSession(id, remembered, NOW + DAY - 1, endless), 'object')
    t.equal(judgeSession(id, remembered, NOW + DAY, endless), 'session_expired')
    const confirmed = { ...remembered, payload: { ...payload, password_confirmed_at: at } }
    t.type(judgeSession(id, confirmed, NOW + 2 * DAY, endless), 'object', 'confirming it is entering it')
    t.type(judgeSession(id, loggedIn, NOW + 400 * DAY - 1, endless), 'object')
    t.equal(judgeSession(id, loggedIn, NOW + 400 * DAY, endless), 'session_expired')
  })

  t.test('ends with its user, and with the password that opened it', async t => {
    t.equal(judgeSession(id, { ...loggedIn, owner: null }, NOW, lifetimes), 'session_no_owner')
    const changed = { ...loggedIn, owner: { ...owner, password: passwordStamp('another') } }
    t.equal(judgeSession(id, changed, NOW, lifetimes), 'session_password_changed')
    t.equal(
      judgeSession(id, { ...loggedIn, payload: payload() }, NOW, lifetimes),
      'session_password_changed',
      'and is none without a stamp',
    )
  })

  t.test('that was replaced is nothing any more, and known as such for a minute', async t => {
    const replaced = { ...anonymous, payload: payload({ replaced_at: at }), lastActivity: 0 }
    t.equal(judgeSession(id, replaced, NOW, lifetimes), 'session_replaced')
    t.equal(judgeSession(id, replaced, NOW + MINUTE, lifetimes), 'session_replaced')
    t.equal(judgeSession(id, replaced, NOW + MINUTE + 1, lifetimes), 'session_unknown')
    const withOwner = { ...loggedIn, payload: payload({ ...loggedIn.payload, replaced_at: at }) }
    t.equal(judgeSession(id, withOwner, NOW, lifetimes), 'session_replaced', 'whatever else is in its row')
  })

  t.test('is one of ours', async t => {
    t.equal(judgeSession(id, null, NOW, lifetimes), 'session_unknown')
    for (const foreign of [
      '',
      'YToxOntzOjY6Il90b2tlbiI7czozOiJhYmMiO30=',
      'null',
      '[]',
      '1',
      '{}',
      '{"created_at":"1"}',
      '{"created_at":1,"password":1}',
      '{"created_at":1,"replaced_at":"1"}',
      '{"created_at":1,"device":1}',
      '{"created_at":1,"challenge":null}',
      '{"created_at":1,"challenge":1}',
      '{"created_at":1,"challenge":{"user_id":"1","password":"x","remember":true,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":1,"remember":true,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":"x","remember":1,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":"x","remember":true,"at":"1"}}',
      '{"created_at":1,"password_confirmed_at":"1"}',
    ]) {
      t.equal(
        judgeSession(id, { ...anonymous, payload: parseSessionPayload(foreign) }, NOW, lifetimes),
        'session_unknown',
        foreign,
      )
    }
  })
})

t.test('the session cookie', async t => {
  const settings = {
    sessionCookie: 's',
    sessionDomain: null,
    sessionSecure: false,
    sessionSameSite: 'lax',
    sessionPartitioned: false,
  } as const
  t.equal(sessionCookies(settings).session.name, 's')
  t.equal(sessionCookies({ ...settings, sessionSecure: true }).session.name, '__Host-s')
  t.equal(sessionCookies({ ...settings, sessionSecure: true, sessionDomain: '.a.test' }).session.name, 's')
  const { read } = sessionCookies(settings).session
  t.strictSame(read(undefined), [])
  t.strictSame(read('a=1; s=2;s=3; ss=4; s =5; __proto__=6; S=7'), ['2', '3'])
  const prefixed = sessionCookies({ ...settings, sessionSecure: true }).session
  t.strictSame(prefixed.read('s=1; __Host-s=2'), ['2'], 'the plain name is not read')
})
