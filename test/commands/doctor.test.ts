import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createProgram } from '#src/commands/program.ts'
import { NOW } from '../fixtures/clock.ts'
import { TEST_KEY } from '../support/app.ts'

/** Runs `doctor` with these settings. */
const doctor = async (settings: Record<string, string>, ...args: string[]) => {
  const out: string[] = []
  let error: Error | null = null
  try {
    await createProgram({
      environment: settings,
      print: line => out.push(line),
      warn: line => out.push(line),
      readInput: async () => '',
      askSecretly: null,
      clock: () => NOW,
      random: randomBytes,
    }).parseAsync(['node', 'animethemes-auth', 'doctor', ...args])
  } catch (thrown) {
    error = thrown as Error
  }
  return { out: out.join('\n'), error: error?.message ?? null }
}

const PRODUCTION = { APP_URL: 'https://api.example.org', APP_ENV: 'local' }

t.test('doctor lists the problems of an origin', async t => {
  for (const [name, settings, origin, expected] of [
    ['the default settings', {}, 'http://localhost:3000', []],
    ['a page on the origin of the server', {}, 'http://localhost:8000', []],
    [
      '127.0.0.1 instead of localhost',
      {},
      'http://127.0.0.1:3000',
      [
        /127\.0\.0\.1:3000 is not a first party/,
        /CORS hides/,
        /Open the page on http:\/\/localhost:3000/,
        /Set FRONTEND_URL=http:\/\/127\.0\.0\.1:3000, or open the page there/,
      ],
    ],
    [
      'one domain for both',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org', SESSION_DOMAIN: '.example.org' },
      'https://www.example.org',
      [],
    ],
    [
      'without SESSION_DOMAIN',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org' },
      'https://www.example.org',
      [/cannot read the cookie XSRF-TOKEN, .* 419 response\. Set SESSION_DOMAIN=\.example\.org\./],
    ],
    [
      'over plain HTTP',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'http://www.example.org', SESSION_DOMAIN: '.example.org' },
      'http://www.example.org',
      [/belong to different sites: with SESSION_SAME_SITE=lax the browser sends no cookies/],
    ],
    [
      'another domain',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'spa.test' },
      'https://spa.test',
      [/belong to different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'another domain, with SameSite=None',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'spa.test', SESSION_SAME_SITE: 'none' },
      'https://spa.test',
      [/third-party cookies, which Safari and Firefox block/, /cannot read/],
    ],
    [
      'a public suffix is not a shared domain',
      { APP_URL: 'https://api.co.uk', SANCTUM_STATEFUL_DOMAINS: 'www.co.uk' },
      'https://www.co.uk',
      [/belong to different sites/, /cannot read/],
    ],
    [
      'an HTTPS page that calls HTTP',
      {
        APP_URL: 'http://api.example.org',
        SANCTUM_STATEFUL_DOMAINS: 'https://www.example.org',
        SESSION_DOMAIN: 'example.org',
      },
      'https://www.example.org',
      [/mixed content/, /belong to different sites/],
    ],
    [
      'secure cookies without HTTPS',
      { APP_URL: 'http://localhost:8000', SESSION_SECURE_COOKIE: 'true' },
      'http://localhost:3000',
      [/is restricted to HTTPS, but http:\/\/localhost:8000 is not HTTPS/],
    ],
    [
      'CSRF_MODE=origin-only on another origin',
      { CSRF_MODE: 'origin-only' },
      'http://localhost:3000',
      [/every change gets a 403 response/],
    ],
    [
      'an origin listed only in CORS_ALLOWED_ORIGINS',
      { CORS_ALLOWED_ORIGINS: 'http://localhost:4000' },
      'http://localhost:4000',
      [/not a first party/],
    ],
    [
      'a private suffix is not a shared domain',
      { APP_URL: 'https://a.github.io', SANCTUM_STATEFUL_DOMAINS: 'b.github.io' },
      'https://b.github.io',
      [/belong to different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'insecure cookies on HTTPS',
      { ...PRODUCTION, SESSION_SECURE_COOKIE: 'false' },
      'https://api.example.org',
      [/is not restricted to HTTPS/],
    ],
    [
      'a domain that only ends with the other',
      { APP_URL: 'https://evilexample.org', SANCTUM_STATEFUL_DOMAINS: 'www.example.org' },
      'https://www.example.org',
      [/belong to different sites/, /cannot read .* Serve both under one domain\./],
    ],
    [
      'HTTPS on localhost',
      { SANCTUM_STATEFUL_DOMAINS: 'https://localhost:3000' },
      'https://localhost:3000',
      [/belong to different sites/],
    ],
    [
      'another scheme',
      { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'www.example.org', SESSION_DOMAIN: '.example.org' },
      'http://www.example.org',
      [
        /Add http:\/\/www\.example\.org to SANCTUM_STATEFUL_DOMAINS/,
        /CORS hides/,
        /belong to different sites/,
      ],
    ],
    [
      'the same origin over plain HTTP, where browsers send no Sec-Fetch-Site',
      { APP_URL: 'http://192.168.1.5:8000' },
      'http://192.168.1.5:8000',
      [],
    ],
    [
      'CORS_ALLOWED_ORIGINS=* excludes cookies',
      { CORS_ALLOWED_ORIGINS: '*' },
      'http://localhost:4000',
      [/not a first party/, /except to requests with cookies/],
    ],
  ] as const) {
    const { out, error } = await doctor(settings as unknown as Record<string, string>, '--origin', origin)
    const problems = out.split('\n').filter(line => line.startsWith('  ✗'))
    t.equal(problems.length, expected.length, `${name}:\n${out}`)
    for (const [index, pattern] of expected.entries()) t.match(problems[index], pattern, name)
    t.equal(error === null, expected.length === 0, name)
  }
})

t.test('doctor tells a page that can log in from one whose mails lead elsewhere', async t => {
  const page = ['--origin', 'http://127.0.0.1:8000']
  const { out, error } = await doctor({}, ...page)
  t.match(out, 'It can log in: GET http://127.0.0.1:8000/sanctum/csrf-cookie')
  t.match(out, '✗ Links in mails lead to APP_URL, http://localhost:8000')
  t.match(error, 'It can log in, but links in mails do not lead back to its session.')
  const called = await doctor({}, '--origin', 'http://localhost:3000', '--api', 'http://127.0.0.1:8000')
  t.match(called.out, /✗ Links in mails .* Let the page call http:\/\/localhost:8000, or set APP_URL/)
  t.notMatch(called.out, 'Open the page on http://localhost:3000', 'the page is there already')
  const ipv6 = await doctor({}, '--origin', 'http://[::1]:3000')
  t.match(ipv6.out, /^A page on http:\/\/\[::1\]:3000 that calls http:\/\/localhost:8000:$/m)
  t.match(ipv6.out, 'Open the page on http://localhost:3000.')
})

t.test('doctor explains what a page has to do, and refuses invalid origins', async t => {
  const { out } = await doctor({}, '--origin', 'http://localhost:3000')
  t.match(out, /^A page on http:\/\/localhost:3000 that calls http:\/\/localhost:8000:$/m)
  t.match(out, 'then POST http://localhost:8000/login.')
  const alias = await doctor({}, '--origin', 'http://127.0.0.1:3000', '--api', 'http://localhost:8000')
  t.match(alias.out, 'Let the page call http://127.0.0.1:8000.')
  t.match(
    (
      await doctor(
        { ...PRODUCTION, SANCTUM_STATEFUL_DOMAINS: 'api.example.org' },
        '--origin',
        'https://api.example.org',
      )
    ).out,
    'CORS does not apply',
  )
  t.match(
    (
      await doctor(
        {
          ...PRODUCTION,
          SESSION_DOMAIN: 'example.org',
          SANCTUM_STATEFUL_DOMAINS: '*.example.org,http://*.example.org',
        },
        '--origin',
        'https://a.example.org',
      )
    ).out,
    'http://a.example.org is one as well',
  )
  t.match(
    (await doctor({ APP_URL: 'http://192.168.1.5:8000' }, '--origin', 'http://192.168.1.5:8000')).out,
    'must send its value in the header X-XSRF-TOKEN',
    'browsers send no Sec-Fetch-Site',
  )
  const pinned = {
    ...PRODUCTION,
    SESSION_DOMAIN: 'example.org',
    SANCTUM_STATEFUL_DOMAINS: 'https://a.example.org',
  }
  t.notMatch((await doctor(pinned, '--origin', 'https://a.example.org')).out, 'is one as well')
  t.match(
    (await doctor({ APP_URL: 'http://api.example.org' }, '--origin', 'http://api.example.org')).out,
    'is sent over plain HTTP, where the network can read it',
  )
  t.match(
    (await doctor({ APP_URL: 'http://localhost:8000' }, '--origin', 'https://www.example.org')).out,
    /^A page on https:\/\/www\.example\.org that calls http:\/\/localhost:8000:$/m,
  )
  t.notMatch(
    (await doctor({}, '--origin', 'https://127.0.0.1:3000', '--api', 'http://localhost:8000')).out,
    'Let the page call',
  )
  const onLocalhost = {
    APP_URL: 'http://localhost:8000',
    SESSION_DOMAIN: 'localhost',
    SANCTUM_STATEFUL_DOMAINS: '127.0.0.1:3000',
  }
  t.match(
    (await doctor(onLocalhost, '--origin', 'http://127.0.0.1:3000')).out,
    "✗ SESSION_DOMAIN=localhost does not include 127.0.0.1: browsers refuse the server's cookies",
  )
  const production = {
    APP_ENV: 'production',
    APP_URL: 'https://api.example.org',
    DATABASE_URL: 'postgres://127.0.0.1/x',
    APP_KEY: TEST_KEY,
    SANCTUM_STATEFUL_DOMAINS: '*.example.org',
    SESSION_DOMAIN: '.example.org',
  }
  const otherApi = ['--origin', 'https://app.example.org', '--api', 'https://api2.example.org']
  t.match((await doctor(production, ...otherApi)).out, '✗ api2.example.org is neither APP_URL')
  t.equal((await doctor({ ...production, APP_HOSTS: 'api2.example.org' }, ...otherApi)).error, null)
  for (const invalid of ['localhost:3000', 'http://localhost:3000/path', 'ftp://a', 'http://a?b']) {
    t.match((await doctor({}, '--origin', invalid)).error, 'expected an origin such as http://localhost:3000')
  }
})
