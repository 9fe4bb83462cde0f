import fc from 'fast-check'
import t from 'tap'
import {
  createFirstParty,
  createHostCheck,
  type FirstParty,
  isAppOrigin,
  isCanonicalPattern,
  matchesPublicSuffix,
} from '#src/auth/origin.ts'

const OWN = new URL('https://api.own.test')

const check = (
  party: FirstParty,
  { referers = [], origin, host = 'api.own.test', fetchSite }: Partial<Parameters<FirstParty['check']>[0]>,
) => party.check({ referers, origin, host, fetchSite }).isFirstParty

t.test('pages of applications that are not on the web', async t => {
  const APPS = ['capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'app.dev.test://x.y-z']
  const party = createFirstParty(['example.com', ...APPS], OWN)
  for (const origin of APPS) {
    t.ok(isAppOrigin(origin))
    t.equal(check(party, { origin }), true, origin)
    t.equal(check(party, { referers: [`${origin}/index.html?a#b`] }), true)
    t.equal(check(createFirstParty(['example.com'], OWN), { origin }), false, 'only if it is named')
    for (const other of [
      `${origin}.evil`,
      `${origin}:80`,
      `x${origin}`,
      origin.toUpperCase(),
      `https://${origin}`,
    ]) {
      t.equal(check(party, { origin: other }), false, other)
    }
  }
  t.equal(check(party, { origin: 'https://localhost' }), false, 'a host on the web is another one')
  t.equal(check(party, { referers: ['https://evil.test/capacitor://localhost'] }), false)
  for (const text of [
    'https://localhost',
    'http://a',
    'file://a',
    'ws://a',
    'capacitor://',
    'capacitor://a/b',
    '://a',
    'capacitor:localhost',
    'capacitor://*',
  ])
    t.notOk(isAppOrigin(text), text)
})

t.test('first parties', async t => {
  const party = createFirstParty(
    ['example.com', '*.example.com', 'http://localhost:3000', 'http://::1', 'http://[::1]:3000'],
    OWN,
  )

  await t.test('a page is a first party by its scheme, host and port', async t => {
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
      t.equal(check(party, { referers: [page] }), expected, `Referer ${JSON.stringify(page)}`)
      t.equal(check(party, { origin: page }), expected, `Origin ${JSON.stringify(page)}`)
    }
  })

  await t.test('Referer is judged first, then Origin, then Sec-Fetch-Site', async t => {
    const party = createFirstParty(['test.com', '*.test.com'], OWN)
    t.equal(check(party, { referers: ['https://test.com'] }), true)
    t.equal(check(party, { referers: ['https://wrong.com'] }), false)
    t.equal(check(party, { referers: ['https://test.com.x'] }), false)
    t.equal(check(party, { referers: ['https://foobar.test.com/'] }), true)
    t.equal(check(party, { origin: 'test.com' }), true)
    t.equal(check(party, { referers: [''], origin: 'https://test.com' }), true, 'an empty Referer is ignored')
    t.equal(check(party, { referers: ['https://wrong.com'], origin: 'https://test.com' }), false)
    t.equal(check(party, { referers: ['https://test.com'], origin: 'https://wrong.com' }), true)
    t.equal(
      check(party, { referers: ['https://test.com', 'https://test.com'] }),
      false,
      'two Referer headers',
    )
    t.equal(check(party, {}), false)
    t.equal(check(party, { fetchSite: 'same-origin' }), true, 'a same-origin page without Referer and Origin')
    for (const fetchSite of ['same-site', 'cross-site', 'none', 'SAME-ORIGIN', 'same-origin, none']) {
      t.equal(check(party, { fetchSite }), false, fetchSite)
    }
    t.equal(check(party, { origin: 'https://wrong.com', fetchSite: 'same-origin' }), false)
    const alias = { referers: ['https://alias.test/docs/'], fetchSite: 'same-origin' }
    t.equal(
      check(party, { ...alias, host: 'alias.test' }),
      true,
      'a page that the server served under an alias',
    )
    t.equal(check(party, { ...alias, host: 'alias.test:443' }), true)
    t.equal(check(party, { ...alias, host: 'alias.test:8443' }), false)
    t.equal(check(party, { ...alias, host: 'alias.test', fetchSite: 'same-site' }), false)
    t.equal(check(party, { ...alias, host: 'alias.test', referers: [...alias.referers, 'x'] }), false)
    t.equal(check(createFirstParty([], OWN), { referers: ['https://test.com'] }), false)
    t.equal(check(createFirstParty([], OWN), { referers: ['https://api.own.test/docs/'] }), true)
  })

  await t.test('a pattern matches the whole host', async t => {
    const party = createFirstParty(['*.example.com', 'spa-*.example.org'], OWN)
    t.equal(check(party, { referers: ['https://a.example.com.evil.com/'] }), false)
    t.equal(check(party, { referers: ['https://evilspa-1.example.org/'] }), false)
    t.equal(check(party, { referers: ['https://spa-1.example.org/'] }), true)
  })

  await t.test('a pattern without a scheme matches the scheme of APP_URL', async t => {
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
        const party = createFirstParty(patterns, own)
        t.equal(check(party, { referers: [page] }), expected, `${page} under ${own}`)
      }
    }
  })

  await t.test('__SANCTUM_CURRENT_REQUEST_HOST__ matches the host of the request', async t => {
    const party = createFirstParty(['other.test', '__SANCTUM_CURRENT_REQUEST_HOST__'], OWN)
    t.equal(check(party, { referers: ['https://a.test:81/x'], host: 'a.test:81' }), true)
    t.equal(check(party, { referers: ['http://a.test:81/x'], host: 'a.test:81' }), false, 'another scheme')
    t.equal(check(party, { referers: ['https://a.test/x'], host: 'a.test:81' }), false)
    t.equal(check(party, { referers: ['https://b.test:81/x'], host: 'a.test:81' }), false)
    t.equal(check(party, { referers: ['https://a.test/x'], host: 'a.test:443' }), true)
    t.equal(check(party, { referers: ['http://a.test/x'], host: 'a.test:443' }), false)
    const same = { referers: ['https://a.test:81/x'] }
    t.equal(check(party, { ...same, host: 'b.test:81' }), false, 'the same page with another request host')
    t.equal(check(party, { referers: ['https://evila.test:81/x'], host: 'a.test:81' }), false)
    t.equal(check(party, { referers: ['https://evil.test/x'], host: '' }), false)
    const pinned = createFirstParty(['https://__SANCTUM_CURRENT_REQUEST_HOST__'], OWN)
    t.equal(check(pinned, { referers: ['https://a.test/x'], host: 'a.test' }), true)
    t.equal(check(pinned, { referers: ['http://a.test/x'], host: 'a.test' }), false)
  })

  await t.test('a loopback APP_URL includes the other loopback names', async t => {
    const party = createFirstParty([], new URL('http://127.0.0.1:8080'))
    for (const [page, expected] of [
      ['http://127.0.0.1:8080/docs/', true],
      ['http://localhost:8080/docs/', true],
      ['http://[::1]:8080/docs/', true],
      ['http://localhost/', false],
      ['http://localhost:8081/', false],
      ['https://localhost:8080/', false],
    ] as const) {
      t.equal(check(party, { referers: [page] }), expected, page)
    }
  })

  await t.test('* matches every origin but null', async t => {
    const party = createFirstParty(['*'], OWN)
    t.equal(check(party, { origin: 'https://anything.test' }), true)
    t.equal(check(party, { origin: 'null' }), false)
  })

  await t.test('a page whose host is not in the list is no first party (property test)', async () => {
    fc.assert(
      fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), url => {
        const { host } = new URL(url)
        const expected = host === 'example.com' || host.endsWith('.example.com')
        return check(party, { referers: [url] }) === expected
      }),
    )
  })

  await t.test('the reason of a refusal names the origin without its path', async t => {
    const refused = party.check({
      referers: ['https://evil.com/secret?token=1'],
      origin: undefined,
      host: '',
      fetchSite: undefined,
    })
    t.match(refused, { isFirstParty: false, reason: /Referer https:\/\/evil\.com is neither .*example\.com/ })
    t.notMatch(refused, { reason: /secret|token/ })
    t.match(party.check({ referers: [], origin: undefined, host: '', fetchSite: undefined }), {
      reason: 'it has neither a Referer nor an Origin header',
    })
  })
})

t.test('patterns of SANCTUM_STATEFUL_DOMAINS', async t => {
  await t.test('isOpenToAnybody(): a wildcard without a registrable domain behind it', async t => {
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
      t.equal(matchesPublicSuffix(pattern), true, pattern)
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
      t.equal(matchesPublicSuffix(pattern), false, pattern)
    }
  })

  await t.test('isWritten(): hosts as browsers write them', async t => {
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
      t.equal(isCanonicalPattern(pattern), true, pattern)
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
      t.equal(isCanonicalPattern(pattern), false, pattern)
    }
  })
})

t.test('ownHosts() matches names and domains', async t => {
  const isOwn = createHostCheck(['api.example.org', '*.Example.net', '[::1]'])
  for (const host of ['api.example.org', 'API.example.org:8000', 'a.b.example.net', '[::1]:8000']) {
    t.equal(isOwn(host), true, host)
  }
  for (const host of [
    '',
    'example.org',
    'x.api.example.org',
    'example.net',
    'evilexample.net',
    'example.net.evil',
  ]) {
    t.equal(isOwn(host), false, host)
  }
})
