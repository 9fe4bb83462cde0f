import { randomBytes } from 'node:crypto'
import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { problemsOf } from '../fixtures/config.ts'
import { TEST_KEY } from '../support/app.ts'

const DATABASE_URL = 'postgres://user:s3cret@db.internal:5432/animethemes'

t.test('an invalid value is reported with its name, value and expected format', async t => {
  for (const [environment, expected] of [
    [{ PORT: '80x' }, 'PORT=80x: expected a whole number from 0 to 65535'],
    [{ PORT: '65536' }, 'PORT=65536: expected a whole number from 0 to 65535'],
    [{ PORT: '-1' }, 'PORT=-1: expected a whole number from 0 to 65535'],
    [{ PORT: '1e3' }, 'PORT=1e3: expected a whole number from 0 to 65535'],
    [{ APP_ENV: 'prod' }, 'APP_ENV=prod: expected one of local, production'],
    [
      { APP_URL: 'api.example.org' },
      'APP_URL=api.example.org: expected a URL starting with http:// or https://',
    ],
    [
      { APP_HOSTS: 'https://a.test' },
      'APP_HOSTS=https://a.test: expected host names such as api.example.org, without scheme and port (not "https://a.test")',
    ],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL=loud: expected one of fatal, error, warn, info, debug, trace, silent'],
    [{ API_PATH: 'api' }, 'API_PATH=api: expected a path such as /api, or / for the root'],
    [{ API_PATH: '/a b' }, 'API_PATH=/a b: expected a path such as /api, or / for the root'],
    [
      { AUTH_PATH: '/.well-known' },
      'AUTH_PATH=/.well-known: expected a path outside /.well-known, which the server uses itself',
    ],
    ...['security@example.org', 'http://example.org/report', 'mailto:', 'https:// x'].map(
      contact =>
        [
          { SECURITY_CONTACT: `mailto:a@b.test,${contact}` },
          `SECURITY_CONTACT=mailto:a@b.test,${contact}: expected mailto:, https: or tel: URIs such as mailto:security@example.org, without spaces (not "${contact}")`,
        ] as const,
    ),
    [{ COMMON_PASSWORDS: 'yes' }, 'COMMON_PASSWORDS=yes: expected one of on, off'],
    [
      { XSRF_COOKIE: 'animethemes_session' },
      'XSRF_COOKIE=animethemes_session: expected another name than SESSION_COOKIE',
    ],
    [{ API_PATH: '/docs' }, 'API_PATH=/docs: expected a path outside /docs, which the server uses itself'],
    [
      { AUTH_PATH: '/admin/x' },
      'AUTH_PATH=/admin/x: expected a path outside /admin, which the server uses itself',
    ],
    [
      { SANCTUM_EXPIRATION: '1y' },
      'SANCTUM_EXPIRATION=1y: expected a whole number of minutes, or null for no limit',
    ],
    [
      { SANCTUM_TOKEN_PREFIX: 'a|b' },
      'SANCTUM_TOKEN_PREFIX=a|b: expected at most 40 letters, digits, _ or -',
    ],
    [{ SANCTUM_TOKENABLE_TYPES: ',' }, 'SANCTUM_TOKENABLE_TYPES=,: expected at least one class name'],
    [{ RATE_LIMIT_ANONYMOUS: '0' }, 'RATE_LIMIT_ANONYMOUS=0: expected a whole number from 1 to 1000000'],
    [
      { TRUSTED_PROXIES: '10.0.0.0/33' },
      'TRUSTED_PROXIES=10.0.0.0/33: expected addresses, ranges such as 10.0.0.0/8, loopback, linklocal, uniquelocal, or hops:1 to hops:9 alone (not "10.0.0.0/33")',
    ],
    [
      { LOCAL_IPS: 'localhost' },
      'LOCAL_IPS=localhost: expected addresses or ranges such as 10.0.0.0/8 (not "localhost")',
    ],
    [{ HASH_ROUNDS: '3' }, 'HASH_ROUNDS=3: expected a whole number from 4 to 20'],
    [
      { SANCTUM_STATEFUL_DOMAINS: 'http://a.test/' },
      'SANCTUM_STATEFUL_DOMAINS=http://a.test/: expected hosts such as localhost:3000, *.example.org or https://www.example.org, as browsers write them: without a path, without :80 and :443, and [::1] (not "http://a.test/")',
    ],
    [
      { CORS_ALLOWED_ORIGINS: 'https://a.test,https://b.test/' },
      'CORS_ALLOWED_ORIGINS=https://a.test,https://b.test/: expected origins such as https://app.example.org, without a path (not "https://b.test/")',
    ],
    [
      { SESSION_COOKIE: '__Host-s' },
      'SESSION_COOKIE=__Host-s: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and not remember_web, which is another cookie',
    ],
    [
      { SESSION_COOKIE: 'a b' },
      'SESSION_COOKIE=a b: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and not remember_web, which is another cookie',
    ],
    [{ LAST_USED_INTERVAL: '3601' }, 'LAST_USED_INTERVAL=3601: expected a whole number from 0 to 3600'],
    [
      { SANCTUM_IDLE_EXPIRATION: '1' },
      'SANCTUM_IDLE_EXPIRATION=1: expected a whole number from 5 to 1000000000',
    ],
    [{ APP_NAME: 'a:b' }, 'APP_NAME=a:b: expected at most 60 characters, none of them a colon'],
    [
      { APP_PREVIOUS_KEYS: 'short' },
      'APP_PREVIOUS_KEYS: expected base64: and then 32 bytes in base64 (make one with: npx animethemes-auth key generate)',
    ],
    [
      { FRONTEND_URL: 'www.a.test' },
      'FRONTEND_URL=www.a.test: expected a URL starting with http:// or https://',
    ],
    [{ MAIL_URL: 'https://a.test' }, 'MAIL_URL: expected a URL starting with smtp:// or smtps://'],
    [
      { MAIL_URL: 'smtp://a.test', FRONTEND_URL: 'https://a.test' },
      'MAIL_FROM is not set: expected with MAIL_URL, as an address such as AnimeThemes <no-reply@example.org>',
    ],
    [
      {
        MAIL_URL: 'smtp://a.test',
        MAIL_FROM: 'a@a.test',
        APP_ENV: 'production',
        APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
      },
      'FRONTEND_URL is not set: expected with MAIL_URL, as the address of the website, because mails link to its pages',
    ],
    [
      { MAIL_FROM: 'no-address' },
      'MAIL_FROM=no-address: expected an address such as AnimeThemes <no-reply@example.org>',
    ],
    [
      { MAIL_FROM: 'a@a.test, b@b.test' },
      'MAIL_FROM=a@a.test, b@b.test: expected an address such as AnimeThemes <no-reply@example.org>',
    ],
    [
      { MAIL_SECURITY_EVENTS: 'new-login, passwords' },
      'MAIL_SECURITY_EVENTS=new-login, passwords: expected all or none alone, or some of new-login, token-created, token-ending, second-factor-on, second-factor-off, recovery-code-used, recovery-codes, wrong-codes, password-changed, email-changed, data-exported, account-deleted (not "passwords")',
    ],
    [
      { MODERATION_TOKEN: 'a\nb' },
      'MODERATION_TOKEN: expected a token of ASCII characters without white space',
    ],
    [
      { METRICS_TOKEN: 'fifteen-letters' },
      'METRICS_TOKEN: expected a token of at least 16 ASCII characters without white space',
    ],
    [{ METRICS_PORT: '8000' }, 'METRICS_PORT=8000: expected another port than PORT'],
    [{ SESSION_DOMAIN: 'a b' }, 'SESSION_DOMAIN=a b: expected a domain such as .example.org'],
    [
      { APP_URL: 'https://api.a.test', SESSION_DOMAIN: '.b.test' },
      "SESSION_DOMAIN=.b.test: expected api.a.test, which is APP_URL's host, or a domain above it, because browsers refuse cookies for others",
    ],
    [
      { APP_URL: 'https://evila.test', SESSION_DOMAIN: 'a.test' },
      "SESSION_DOMAIN=a.test: expected evila.test, which is APP_URL's host, or a domain above it, because browsers refuse cookies for others",
    ],
    [
      { APP_URL: 'https://api.co.uk', SESSION_DOMAIN: '.co.uk' },
      'SESSION_DOMAIN=.co.uk: expected a registrable domain, such as .example.org, because browsers refuse cookies for IP addresses and for all of co.uk',
    ],
    [
      { APP_URL: 'https://api.vercel.app', SESSION_DOMAIN: 'vercel.app' },
      'SESSION_DOMAIN=vercel.app: expected a registrable domain, such as .example.org, because browsers refuse cookies for IP addresses and for all of vercel.app',
    ],
    [
      { APP_URL: 'http://127.0.0.1:8000', SESSION_DOMAIN: '.0.0.1' },
      'SESSION_DOMAIN=.0.0.1: expected a registrable domain, such as .example.org, because browsers refuse cookies for IP addresses and for all of 0.0.1',
    ],
    [{ SESSION_COOKIE: 'XSRF-TOKEN' }, 'XSRF_COOKIE=XSRF-TOKEN: expected another name than SESSION_COOKIE'],
    [
      { SESSION_COOKIE: 'remember_web' },
      'SESSION_COOKIE=remember_web: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and not remember_web, which is another cookie',
    ],
    [
      { APP_URL: 'http://192.168.1.5:8000', CSRF_MODE: 'origin-only' },
      'CSRF_MODE=origin-only: expected APP_URL with https://, or on this machine, because browsers send no Sec-Fetch-Site elsewhere',
    ],
    [{ HOST: 'a b' }, 'HOST=a b: expected an address such as 0.0.0.0, or a name such as localhost'],
    [{ HOST: 'http://a' }, 'HOST=http://a: expected an address such as 0.0.0.0, or a name such as localhost'],
    [{ SESSION_SECURE_COOKIE: 'yes' }, 'SESSION_SECURE_COOKIE=yes: expected one of true, false'],
    [
      { SESSION_SAME_SITE: 'none' },
      'SESSION_SAME_SITE=none: expected APP_URL with https://, because browsers refuse such cookies otherwise',
    ],
    [
      { SESSION_PARTITIONED_COOKIE: 'true' },
      'SESSION_PARTITIONED_COOKIE=true: expected APP_URL with https://, because browsers refuse such cookies otherwise',
    ],
    [{ SESSION_LIFETIME: '0' }, 'SESSION_LIFETIME=0: expected a whole number from 1 to 525600'],
    [
      { SESSION_ABSOLUTE_LIFETIME: 'x' },
      'SESSION_ABSOLUTE_LIFETIME=x: expected a whole number from 1 to 5256000',
    ],
    [{ LOG_REQUESTS: '2' }, 'LOG_REQUESTS=2: expected all, errors, or a share from 0 to 1'],
    [{ LOG_REQUESTS: 'some' }, 'LOG_REQUESTS=some: expected all, errors, or a share from 0 to 1'],
    [{ CSRF_MODE: 'off' }, 'CSRF_MODE=off: expected one of token, origin-only'],
    [
      { REGISTER_REVEALS: 'false', EMAIL_CHANGE: 'immediate' },
      'REGISTER_REVEALS=false: expected EMAIL_CHANGE=confirmed, because an address that changes at once reveals whether it was free',
    ],
    [
      { REGISTER_REVEALS: 'false', REVEAL_UNKNOWN_EMAIL: 'true' },
      'REGISTER_REVEALS=false: expected REVEAL_UNKNOWN_EMAIL=false, because a password reset would reveal the same',
    ],
    ...[{}, { HSTS_INCLUDE_SUBDOMAINS: 'true', HSTS_MAX_AGE: '31535999' }].map(
      less =>
        [
          { HSTS_PRELOAD: 'true', ...less },
          "HSTS_PRELOAD=true: expected HSTS_INCLUDE_SUBDOMAINS=true and HSTS_MAX_AGE of at least 31536000, because the browsers' preload lists accept no other hosts",
        ] as const,
    ),
  ] as const) {
    t.strictSame(problemsOf(environment as unknown as Record<string, string>), [expected])
  }
  t.equal(
    problemsOf({ PORT: 'x', HASH_ROUNDS: 'y', LOG_LEVEL: 'z' }).length,
    3,
    'all problems are reported together',
  )
})

t.test('DATABASE_URL requires APP_KEY', async t => {
  t.match(problemsOf({ DATABASE_URL })[0], /^APP_KEY is not set: expected with DATABASE_URL, /)
})

t.test('production refuses unsafe values', async t => {
  const safe = { DATABASE_URL, APP_KEY: TEST_KEY }
  t.strictSame(problemsOf(safe), [])
  for (const [environment, name] of [
    [{ APP_KEY: `base64:${Buffer.alloc(32, 7).toString('base64')}` }, 'APP_KEY'],
    [{ APP_KEY: 'aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb' }, 'APP_KEY'],
    [{ SANCTUM_STATEFUL_DOMAINS: 'a.test,*' }, 'SANCTUM_STATEFUL_DOMAINS'],
    [{ SANCTUM_STATEFUL_DOMAINS: '*:*' }, 'SANCTUM_STATEFUL_DOMAINS'],
    [{ SANCTUM_STATEFUL_DOMAINS: 'https://*' }, 'SANCTUM_STATEFUL_DOMAINS'],
    [{ SANCTUM_STATEFUL_DOMAINS: '*.example.org,*.co.uk' }, 'SANCTUM_STATEFUL_DOMAINS'],
    [{ APP_URL: 'https://a.test', SESSION_SECURE_COOKIE: 'false' }, 'SESSION_SECURE_COOKIE'],
    [{ TRUSTED_PROXIES: '*' }, 'TRUSTED_PROXIES'],
    [{ TRUSTED_PROXIES: '0.0.0.0/0' }, 'TRUSTED_PROXIES'],
    [{ TRUSTED_PROXIES: '::/0' }, 'TRUSTED_PROXIES'],
    [{ HASH_ROUNDS: '9' }, 'HASH_ROUNDS'],
  ] as const) {
    const problems = problemsOf({ ...safe, ...environment })
    t.match(problems, [new RegExp(`^${name}`)], JSON.stringify(environment))
    t.strictSame(
      problemsOf({ ...safe, ...environment, APP_ENV: 'local' }),
      [],
      'they are allowed under APP_ENV=local',
    )
  }
})

t.test('in production plain HTTP is allowed for loopback hosts or with ALLOW_INSECURE_HTTP', async t => {
  const production = { DATABASE_URL, APP_KEY: TEST_KEY }
  for (const APP_URL of [
    'http://localhost:8000',
    'http://127.0.0.1',
    'http://127.1.2.3:80',
    'http://[::1]:8000',
    'http://api.localhost:8000',
    'https://api.example.org',
  ]) {
    t.strictSame(problemsOf({ ...production, APP_URL }), [], APP_URL)
  }
  const unsafe: Record<string, string>[] = [
    { APP_URL: 'http://api.example.org' },
    { APP_URL: 'http://192.168.1.5:8000' },
    { APP_URL: 'http://localhost.example.org' },
    { APP_URL: 'http://127.example.org' },
    { HOST: '192.168.1.5' },
  ]
  for (const environment of unsafe) {
    t.match(problemsOf({ ...production, ...environment }), [
      /^APP_URL=http:.*: expected https:.*\(ALLOW_INSECURE_HTTP=true /,
    ])
    t.strictSame(problemsOf({ ...production, ...environment, APP_ENV: 'local' }), [])
  }
  const insecure = { ...production, APP_URL: 'http://10.0.0.5', ALLOW_INSECURE_HTTP: 'true' }
  t.strictSame(problemsOf(insecure), [])
  t.match(
    configWarnings(loadConfig(insecure), insecure).join('\n'),
    /^ALLOW_INSECURE_HTTP=true and APP_URL=/m,
  )
})

t.test('loopback names are first parties by default on a loopback APP_URL', async t => {
  const local = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']
  for (const [environment, expected] of [
    [{}, [...local, 'localhost:8000']],
    [{ PORT: '8001' }, [...local, '127.0.0.1:8001', 'localhost:8001']],
    [{ APP_URL: 'http://localhost:9000' }, [...local, '127.0.0.1:9000', 'localhost:9000']],
    [
      { APP_URL: 'http://127.0.0.1:9000', DATABASE_URL, APP_KEY: TEST_KEY },
      [...local, '127.0.0.1:9000', 'localhost:9000'],
    ],
    [{ APP_URL: 'http://[::1]' }, local],
    [{ APP_URL: 'https://api.example.org' }, []],
    [{ APP_URL: 'https://api.example.org', DATABASE_URL, APP_KEY: TEST_KEY }, []],
    [{ APP_URL: 'http://192.168.1.5:8000' }, []],
    [{ APP_URL: 'https://api.example.org', SANCTUM_STATEFUL_DOMAINS: 'localhost:3000' }, ['localhost:3000']],
    [{ SANCTUM_STATEFUL_DOMAINS: '' }, []],
  ] as const) {
    t.strictSame(loadConfig(environment).statefulDomains, expected, JSON.stringify(environment))
  }
})

t.test('reserved characters in the password of a URL', async t => {
  const others = {
    APP_KEY: TEST_KEY,
    APP_ENV: 'local',
    MAIL_FROM: 'a@example.org',
    FRONTEND_URL: 'https://a.test',
  }
  for (const [name, protocol] of [
    ['DATABASE_URL', 'postgres'],
    ['DATABASE_LISTEN_URL', 'postgresql'],
    ['MAIL_URL', 'smtp'],
    ['MAIL_URL', 'smtps'],
    ['REDIS_URL', 'rediss'],
  ] as const) {
    for (const password of [
      's3c#ret',
      's3c/ret',
      's3c?ret',
      's3c@ret',
      '12/ret',
      '12#ret',
      '12?ret',
      '12@ret',
      's3c%ret',
      's3c%',
      '@',
      '#/@',
    ]) {
      for (const end of ['@db.test:5432/x', '@db.test', '@db.test/x?a=b@c']) {
        const text = `${protocol}://user:${password}${end}`
        const [problem = '', ...more] = problemsOf({ ...others, [name]: text })
        t.match(
          problem,
          new RegExp(`^${name}: expected a URL with user and password percent-encoded: # as %23, / as %2F`),
          text,
        )
        t.strictSame(more, [])
        t.notMatch(problem, /ret|user:/, 'the password is not shown')
        const encoded = `${protocol}://user:${encodeURIComponent(password)}${end}`
        t.strictSame(problemsOf({ ...others, [name]: encoded }), [], encoded)
      }
    }
  }
  for (const text of ['postgres://user:p', 'postgres://db.test:99999/x', 'postgres://a.test:1,b.test:2/x']) {
    const [problem] = problemsOf({ ...others, DATABASE_URL: text })
    t.match(
      problem,
      /^DATABASE_URL: expected a URL of one host, with a port up to 65535 \(a value with # needs quotes/,
    )
  }
  for (const url of ['postgres:///x?user=a@b&host=/tmp', 'postgres://db.test/x?application_name=a@b']) {
    t.strictSame(problemsOf({ ...others, DATABASE_URL: url }), [], url)
  }
})
