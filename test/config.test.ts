import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { program } from '#src/commands/program.ts'
import { withAppKey } from '#src/config/kept-key.ts'
import { loadConfig } from '#src/config/load.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { commandsTable, envExample, settingsTable } from '../tools/documents.ts'
import { problemsOf } from './fixtures/config.ts'
import { TEST_KEY } from './support/app.ts'

const DATABASE_URL = 'postgres://user:s3cret@db.internal:5432/animethemes'

t.test('the defaults', async t => {
  const config = loadConfig({})
  t.match(config, {
    host: '127.0.0.1',
    port: 8000,
    appEnv: 'local',
    appHosts: [],
    appKey: null,
    appPreviousKeys: [],
    appName: 'AnimeThemes',
    mailUrl: null,
    revealUnknownEmail: false,
    confirmEmailChange: false,
    breachedPasswordsUrl: null,
    moderationUrl: null,
    databaseUrl: null,
    dataDir: './.data',
    redisUrl: null,
    apiPath: '/api',
    authPath: '',
    statefulDomains: ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1'],
    tokenExpiration: 525_600,
    tokenPrefix: '',
    tokenableTypes: ['App\\Models\\Auth\\User', 'App\\Models\\User'],
    rateLimitAuthenticated: 90,
    rateLimitAnonymous: 90,
    rateLimitFailedAuth: 60,
    trustedProxies: [],
    localIps: [],
    hashRounds: 12,
    logLevel: 'info',
  })
  t.equal(config.appUrl.origin, 'http://127.0.0.1:8000')
  t.ok(Object.isFrozen(config))
})

t.test('what follows from other settings', async t => {
  for (const [environment, pages] of [
    [{}, ['http://localhost:3000/', 'http://localhost:3000/login', 'http://localhost:3000/reset-password']],
    [
      { APP_ENV: 'production', APP_URL: 'https://a.test' },
      ['https://a.test/', 'https://a.test/login', 'https://a.test/reset-password'],
    ],
    [
      { FRONTEND_URL: 'https://b.test/wiki/' },
      ['https://b.test/wiki/', 'https://b.test/wiki/login', 'https://b.test/wiki/reset-password'],
    ],
    [
      {
        FRONTEND_URL: 'https://b.test',
        WIKI_LOGIN: 'https://c.test/in',
        WIKI_RESET_PASSWORD: 'https://c.test/new?a=b',
      },
      ['https://b.test/', 'https://c.test/in', 'https://c.test/new?a=b'],
    ],
  ] as const) {
    const { frontendUrl, loginUrl, resetPasswordUrl } = loadConfig(environment)
    t.strictSame(
      [frontendUrl, loginUrl, resetPasswordUrl].map(({ href }) => href),
      pages,
    )
  }
  for (const [environment, page] of [
    [{}, 'http://127.0.0.1:8000/admin/password'],
    [{ APP_URL: 'https://a.test', FRONTEND_URL: 'https://b.test' }, 'https://a.test/admin/password'],
    [{ WIKI_CHANGE_PASSWORD: 'https://b.test/account?tab=password' }, 'https://b.test/account?tab=password'],
  ] as const) {
    t.equal(loadConfig(environment).changePasswordUrl.href, page)
  }
  t.strictSame(loadConfig({}).securityContact, [])
  t.strictSame(loadConfig({ SECURITY_CONTACT: 'mailto:a@b.test, https://b.test/x' }).securityContact, [
    'mailto:a@b.test',
    'https://b.test/x',
  ])
  t.equal(loadConfig({}).commonPasswords, true)
  t.equal(loadConfig({ COMMON_PASSWORDS: 'off' }).commonPasswords, false)
  t.equal(loadConfig({ DATABASE_URL, APP_KEY: TEST_KEY }).appEnv, 'production')
  t.equal(loadConfig({ DATABASE_URL, APP_KEY: TEST_KEY, APP_ENV: 'local' }).appEnv, 'local')
  t.equal(loadConfig({ HOST: '0.0.0.0', PORT: '9000' }).appUrl.origin, 'http://localhost:9000')
  t.equal(loadConfig({ HOST: '::1', PORT: '9000' }).appUrl.origin, 'http://[::1]:9000')
  for (const [environment, isSecure] of [
    [{ APP_URL: 'https://a.test' }, true],
    [{ APP_URL: 'http://a.test' }, false],
    [{ APP_URL: 'https://a.test', SESSION_SECURE_COOKIE: 'false' }, false],
    [{ APP_URL: 'http://a.test', SESSION_SECURE_COOKIE: 'true' }, true],
    [{ APP_URL: 'https://a.test', SESSION_SECURE_COOKIE: 'null' }, true],
  ] as const) {
    t.equal(loadConfig(environment).sessionSecure, isSecure, JSON.stringify(environment))
  }
  for (const [text, share] of [
    ['all', 1],
    ['errors', 0],
    ['0.01', 0.01],
    ['.5', 0.5],
    ['1', 1],
    ['0', 0],
  ] as const) {
    t.equal(loadConfig({ LOG_REQUESTS: text }).logRequests, share, text)
  }
  t.equal(loadConfig({ SESSION_DOMAIN: 'null' }).sessionDomain, null)
  t.equal(loadConfig({ APP_URL: 'https://api.a.test', SESSION_DOMAIN: '.A.test' }).sessionDomain, '.a.test')
  t.equal(loadConfig({ APP_URL: 'http://localhost', SESSION_DOMAIN: 'localhost' }).sessionDomain, 'localhost')
})

t.test('an empty variable is as good as none, except where empty means none at all', async t => {
  const config = loadConfig({ PORT: '', REDIS_URL: '', APP_KEY: '', SANCTUM_STATEFUL_DOMAINS: '' })
  t.equal(config.port, 8000)
  t.equal(config.redisUrl, null)
  t.strictSame(config.statefulDomains, [])
})

t.test('values', async t => {
  t.equal(loadConfig({ SANCTUM_EXPIRATION: '0' }).tokenExpiration, null)
  t.equal(loadConfig({ SANCTUM_EXPIRATION: 'null' }).tokenExpiration, null)
  t.equal(loadConfig({ SANCTUM_EXPIRATION: '483840' }).tokenExpiration, 483_840)
  t.equal(loadConfig({ API_PATH: '/' }).apiPath, '')
  t.equal(loadConfig({ API_PATH: '/v1/api/' }).apiPath, '/v1/api')
  t.strictSame(
    loadConfig({ SANCTUM_STATEFUL_DOMAINS: ' a.test , *.b.test:3000,,[::1]:3000' }).statefulDomains,
    ['a.test', '*.b.test:3000', '[::1]:3000'],
  )
  t.strictSame(loadConfig({ TRUSTED_PROXIES: '10.0.0.0/8, ::1,loopback' }).trustedProxies, [
    '10.0.0.0/8',
    '::1',
    'loopback',
  ])
  t.equal(loadConfig({ APP_KEY: TEST_KEY }).appKey?.bytes.toString('hex').slice(0, 8), '00010203')
  t.equal(loadConfig({ APP_KEY: 'abcdefghijklmnopqrstuvwxyz012345' }).appKey?.bytes.length, 32)
})

t.test('a wrong value stops the start, and says which, what and why', async t => {
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
      'TRUSTED_PROXIES=10.0.0.0/33: expected addresses, ranges such as 10.0.0.0/8, or loopback, linklocal, uniquelocal (not "10.0.0.0/33")',
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
      'SESSION_COOKIE=__Host-s: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and neither XSRF-TOKEN nor remember_web, which are other cookies',
    ],
    [
      { SESSION_COOKIE: 'a b' },
      'SESSION_COOKIE=a b: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and neither XSRF-TOKEN nor remember_web, which are other cookies',
    ],
    [
      { SANCTUM_IDLE_EXPIRATION: '1' },
      'SANCTUM_IDLE_EXPIRATION=1: expected a whole number from 5 to 1000000000',
    ],
    [{ APP_NAME: 'a:b' }, 'APP_NAME=a:b: expected at most 60 characters, none of them a colon'],
    [
      { APP_PREVIOUS_KEYS: 'short' },
      'APP_PREVIOUS_KEYS: expected base64: and then 32 bytes in base64 (make one with: openssl rand -base64 32)',
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
      'FRONTEND_URL is not set: expected with MAIL_URL, as the address of the website, since mails lead to its pages',
    ],
    [
      { MAIL_FROM: 'nobody' },
      'MAIL_FROM=nobody: expected an address such as AnimeThemes <no-reply@example.org>',
    ],
    [
      { MAIL_FROM: 'a@a.test, b@b.test' },
      'MAIL_FROM=a@a.test, b@b.test: expected an address such as AnimeThemes <no-reply@example.org>',
    ],
    [
      { MAIL_SECURITY_EVENTS: 'new-login, passwords' },
      'MAIL_SECURITY_EVENTS=new-login, passwords: expected all or none alone, or some of new-login, token-created, token-ending, second-factor-on, second-factor-off, recovery-code-used, recovery-codes, wrong-codes, password-changed, email-changed, account-deleted (not "passwords")',
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
      "SESSION_DOMAIN=.b.test: expected api.a.test, which is APP_URL's host, or a domain above it, since browsers refuse cookies for others",
    ],
    [
      { APP_URL: 'https://evila.test', SESSION_DOMAIN: 'a.test' },
      "SESSION_DOMAIN=a.test: expected evila.test, which is APP_URL's host, or a domain above it, since browsers refuse cookies for others",
    ],
    [
      { APP_URL: 'https://api.co.uk', SESSION_DOMAIN: '.co.uk' },
      "SESSION_DOMAIN=.co.uk: expected a domain of somebody's, such as .example.org, since browsers refuse cookies for addresses and for all of co.uk",
    ],
    [
      { APP_URL: 'https://api.vercel.app', SESSION_DOMAIN: 'vercel.app' },
      "SESSION_DOMAIN=vercel.app: expected a domain of somebody's, such as .example.org, since browsers refuse cookies for addresses and for all of vercel.app",
    ],
    [
      { APP_URL: 'http://127.0.0.1:8000', SESSION_DOMAIN: '.0.0.1' },
      "SESSION_DOMAIN=.0.0.1: expected a domain of somebody's, such as .example.org, since browsers refuse cookies for addresses and for all of 0.0.1",
    ],
    [
      { SESSION_COOKIE: 'XSRF-TOKEN' },
      'SESSION_COOKIE=XSRF-TOKEN: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and neither XSRF-TOKEN nor remember_web, which are other cookies',
    ],
    [
      { SESSION_COOKIE: 'remember_web' },
      'SESSION_COOKIE=remember_web: expected at most 64 letters, digits, _, . or -, no prefix such as __Host-, and neither XSRF-TOKEN nor remember_web, which are other cookies',
    ],
    [
      { APP_URL: 'http://192.168.1.5:8000', CSRF_MODE: 'origin-only' },
      'CSRF_MODE=origin-only: expected APP_URL with https://, or on this machine, since browsers do not say elsewhere where a page is from',
    ],
    [{ HOST: 'a b' }, 'HOST=a b: expected an address such as 0.0.0.0, or a name such as localhost'],
    [{ HOST: 'http://a' }, 'HOST=http://a: expected an address such as 0.0.0.0, or a name such as localhost'],
    [{ SESSION_SECURE_COOKIE: 'yes' }, 'SESSION_SECURE_COOKIE=yes: expected one of true, false'],
    [
      { SESSION_SAME_SITE: 'none' },
      'SESSION_SAME_SITE=none: expected APP_URL with https://, since browsers refuse such cookies otherwise',
    ],
    [
      { SESSION_PARTITIONED_COOKIE: 'true' },
      'SESSION_PARTITIONED_COOKIE=true: expected APP_URL with https://, since browsers refuse such cookies otherwise',
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
      'REGISTER_REVEALS=false: expected EMAIL_CHANGE=confirmed, since an address that changes at once tells whether it was free',
    ],
    [
      { REGISTER_REVEALS: 'false', REVEAL_UNKNOWN_EMAIL: 'true' },
      'REGISTER_REVEALS=false: expected REVEAL_UNKNOWN_EMAIL=false, since asking for a new password tells the same',
    ],
    ...[{}, { HSTS_INCLUDE_SUBDOMAINS: 'true', HSTS_MAX_AGE: '31535999' }].map(
      less =>
        [
          { HSTS_PRELOAD: 'true', ...less },
          'HSTS_PRELOAD=true: expected HSTS_INCLUDE_SUBDOMAINS=true and HSTS_MAX_AGE of 31536000 at least, since the lists of browsers take no other hosts',
        ] as const,
    ),
  ] as const) {
    t.strictSame(problemsOf(environment as unknown as Record<string, string>), [expected])
  }
  t.equal(problemsOf({ PORT: 'x', HASH_ROUNDS: 'y', LOG_LEVEL: 'z' }).length, 3, 'all at once')
})

t.test('a secret with a wrong value is named, and not shown', async t => {
  for (const [name, value] of [
    ['APP_KEY', 'base64:c2hvcnQtczNjcmV0'],
    ['DATABASE_URL', 'mysql://user:s3cret@host/db'],
    ['REDIS_URL', 'user:s3cret@host'],
  ] as const) {
    const problems = problemsOf({ [name]: value, ...(name !== 'APP_KEY' && { APP_KEY: TEST_KEY }) })
    t.match(problems[0], new RegExp(`^${name}: expected `))
    t.notMatch(problems.join(), /s3cret|c2hvcnQ/)
  }
  const config = loadConfig({ APP_KEY: TEST_KEY })
  t.notMatch(JSON.stringify(config) + inspect(config, { depth: 9 }), /AAECAw/, 'nor is a right one')
})

t.test('a server needs a key of its own', async t => {
  t.match(problemsOf({ DATABASE_URL })[0], /^APP_KEY is not set: expected with DATABASE_URL, /)
})

t.test('production refuses what would be unsafe', async t => {
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
    t.strictSame(problemsOf({ ...safe, ...environment, APP_ENV: 'local' }), [], 'and elsewhere it is allowed')
  }
})

t.test('what whoever runs the server should know', async t => {
  const warnings = (environment: Record<string, string>) =>
    configWarnings(loadConfig(environment), environment)

  t.test('names that look like settings and are none', async t => {
    for (const [name, meant] of [
      ['RATE_LIMT_ANONYMOUS', 'RATE_LIMIT_ANONYMOUS'],
      ['RATE_LIMIT_ANONYMUOS', 'RATE_LIMIT_ANONYMOUS'],
      ['SANCTUM_STATEFULL_DOMAIN', 'SANCTUM_STATEFUL_DOMAINS'],
      ['STATEFUL_DOMAINS', 'SANCTUM_STATEFUL_DOMAINS'],
      ['MAX_PLAYLISTS', 'USER_MAX_PLAYLISTS'],
      ['DATABSE_URL', 'DATABASE_URL'],
      ['APP_KEYS', 'APP_KEY'],
      ['APPKEY', 'APP_KEY'],
      ['APP_ULR', 'APP_URL'],
      ['HASHIDS_SALT', 'HASHIDS_SALT_PLAYLISTS'],
      ['hide_private', 'HIDE_PRIVATE'],
      ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
      ['HSTS_PRELOADS', 'HSTS_PRELOAD'],
    ] as const) {
      const expected = `${name} is no setting of this server: did you mean ${meant}?`
      t.strictSame(warnings({ [name]: 's3cret' }), [expected], name)
    }
    // Of Laravel, of npm, of shells and of hosts: they look like none of ours.
    for (const name of [
      'APP_DEBUG',
      'APP_LOCALE',
      'DB_HOST',
      'DB_PORT',
      'MAIL_HOST',
      'MAIL_PORT',
      'MAIL_MAILER',
      'SESSION_DRIVER',
      'SESSION_ENCRYPT',
      'SESSION_PATH',
      'REDIS_HOST',
      'REDIS_PORT',
      'LOG_CHANNEL',
      'BCRYPT_ROUNDS',
      'CACHE_STORE',
      'QUEUE_CONNECTION',
      'PATH',
      'HOME',
      'HOSTNAME',
      'SHELL',
      'LANG',
      'NODE_ENV',
      'npm_config_cache',
      'PGHOST',
      'API_URL',
      'METRICS_HOST',
      'RATE_LIMIT',
      'MAX_AGE',
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_PORT',
      'REDIS_SERVICE_PORT',
      'PORT',
    ]) {
      t.strictSame(warnings({ [name]: '1' }), [], name)
    }
  })

  t.test('in production also what is missing', async t => {
    const production = { DATABASE_URL, APP_KEY: TEST_KEY, APP_URL: 'https://api.example.org' }
    const found = warnings(production)
    t.match(found, [/^HASHIDS_SALT_PLAYLISTS is empty: /, /^MAIL_URL is not set: /])
    t.equal(found.length, 2)
    const complete = {
      ...production,
      HASHIDS_SALT_PLAYLISTS: 'salt',
      MAIL_URL: 'smtps://mail.example.org',
      MAIL_FROM: 'no-reply@example.org',
      FRONTEND_URL: 'https://www.example.org',
    }
    t.strictSame(warnings(complete), [])
    t.strictSame(warnings({ ...production, APP_ENV: 'local' }), [])
    t.match(warnings({ ...complete, APP_URL: '' }), [
      /^APP_URL is not set, and so it is http:\/\/127\.0\.0\.1:8000: /,
    ])
  })
})

t.test('the key of the embedded database', async t => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'animethemes-auth-key-')), 'data')
  const config = loadConfig({ DATA_DIR: dataDir })
  const [first, second] = await Promise.all([withAppKey(config), withAppKey(config)])
  t.equal(first.appKey.bytes.length, 32, 'is made once')
  t.equal(first.appKey.text, second.appKey.text, 'however many ask')
  t.equal((await withAppKey(config)).appKey.text, first.appKey.text, 'and kept')
  t.equal(statSync(join(dataDir, 'app.key')).mode & 0o777, 0o600, 'for its owner alone')
  t.equal(
    (await withAppKey(loadConfig({ DATA_DIR: dataDir, APP_KEY: TEST_KEY }))).appKey.text,
    TEST_KEY,
    'APP_KEY comes first',
  )
  writeFileSync(join(dataDir, 'app.key'), 'nonsense')
  await t.rejects(withAppKey(config), /app\.key holds no key/)
  const file = join(dataDir, 'app.key', 'below-a-file')
  await t.rejects(withAppKey(loadConfig({ DATA_DIR: file })), /^DATA_DIR=.*: nothing can be written there/)
})

t.test('the documentation agrees with the code', async t => {
  const file = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
  const readme = file('README.md')
  t.ok(readme.includes(settingsTable()), `README.md has the table of settings:\n${settingsTable()}`)
  t.equal(file('.env.example'), envExample())
  const commands = commandsTable(
    program({
      environment: {},
      print: () => {},
      warn: () => {},
      readInput: async () => '',
      askSecretly: null,
      clock: Date.now,
      random: size => Buffer.alloc(size),
    }),
  )
  t.ok(readme.includes(commands), `README.md has the table of commands:\n${commands}`)
})
