import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { withAppKey } from '#src/config/persisted-key.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { problemsOf } from '../fixtures/config.ts'
import { TEST_KEY } from '../support/app.ts'

const DATABASE_URL = 'postgres://user:s3cret@db.internal:5432/animethemes'

t.test('default values', async t => {
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
    statefulDomains: ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1', 'localhost:8000'],
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
  t.equal(config.appUrl.origin, 'http://localhost:8000')
  t.ok(Object.isFrozen(config))
})

t.test('values derived from other settings', async t => {
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
    [{}, 'http://localhost:8000/admin/password'],
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
  t.equal(loadConfig({ HOST: '::1', PORT: '9000' }).appUrl.origin, 'http://localhost:9000')
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

t.test('an empty variable counts as unset, except for lists', async t => {
  const config = loadConfig({ PORT: '', REDIS_URL: '', APP_KEY: '', SANCTUM_STATEFUL_DOMAINS: '' })
  t.equal(config.port, 8000)
  t.equal(config.redisUrl, null)
  t.strictSame(config.statefulDomains, [])
})

t.test('parsed values', async t => {
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

t.test('an invalid secret is named without its value', async t => {
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
  t.notMatch(
    JSON.stringify(config) + inspect(config, { depth: 9 }),
    /AAECAw/,
    'a valid secret is not serialized',
  )
})

t.test('the generated key of the embedded database', async t => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'animethemes-auth-key-')), 'data')
  const config = loadConfig({ DATA_DIR: dataDir })
  const [first, second] = await Promise.all([withAppKey(config), withAppKey(config)])
  t.equal(first.appKey.bytes.length, 32, 'it has 32 bytes')
  t.equal(first.appKey.text, second.appKey.text, 'concurrent calls get the same key')
  t.equal((await withAppKey(config)).appKey.text, first.appKey.text, 'it is stored')
  t.equal(statSync(join(dataDir, 'app.key')).mode & 0o777, 0o600, 'only the owner may read it')
  t.equal(
    (await withAppKey(loadConfig({ DATA_DIR: dataDir, APP_KEY: TEST_KEY }))).appKey.text,
    TEST_KEY,
    'APP_KEY takes precedence',
  )
  writeFileSync(join(dataDir, 'app.key'), 'nonsense')
  await t.rejects(withAppKey(config), /app\.key holds no key/)
  const file = join(dataDir, 'app.key', 'below-a-file')
  await t.rejects(withAppKey(loadConfig({ DATA_DIR: file })), /^DATA_DIR=.*: nothing can be written there/)
})

t.test('warnings', async t => {
  const warnings = (environment: Record<string, string>) =>
    configWarnings(loadConfig(environment), environment)

  await t.test('names similar to a setting are reported', async t => {
    for (const [name, similar] of [
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
      const expected = `${name} is not a setting of this server: did you mean ${similar}?`
      t.strictSame(warnings({ [name]: 's3cret' }), [expected], name)
    }
    // Variables of Laravel, npm, shells and hosts are not similar to a setting.
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

  await t.test('recommended settings that are missing in production are reported', async t => {
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
      /^APP_URL is not set and defaults to http:\/\/localhost:8000: /,
    ])
  })
})

t.test('a value may refer to others', async t => {
  const to = (name: string) => ['$', `{${name}}`].join('')
  const MAIL = { MAIL_URL: 'smtp://a.test', FRONTEND_URL: 'https://a.test' }
  const fromOf = (environment: Record<string, string>) => loadConfig({ ...MAIL, ...environment }).mailFrom
  const MAIL_FROM = `${to('APP_NAME')} <no-reply@example.org>`
  t.equal(fromOf({ MAIL_FROM, APP_NAME: 'Openings' }), 'Openings <no-reply@example.org>')
  t.equal(fromOf({ MAIL_FROM }), 'AnimeThemes <no-reply@example.org>', 'also to a default')
  t.equal(fromOf({ MAIL_FROM, APP_NAME: `${to('SITE')}`, SITE: 'Themes' }), 'Themes <no-reply@example.org>')
  t.equal(
    fromOf({ MAIL_FROM: `x@${to('NOTHING')}.test` }),
    `x@${to('NOTHING')}.test`,
    'what names nothing stays',
  )
  t.equal(
    fromOf({ MAIL_FROM, APP_NAME: `${to('SITE')}`, SITE: `${to('APP_NAME')}` }),
    `${to('APP_NAME')} <no-reply@example.org>`,
  )
  t.equal(fromOf({ MAIL_FROM: `\\${to('APP_NAME')} <a@b.test>` }), `${to('APP_NAME')} <a@b.test>`, 'escaped')
  t.equal(fromOf({ MAIL_FROM: `${to('MAIL_FROM')} <a@b.test>` }), `${to('MAIL_FROM')} <a@b.test>`)
  const DATABASE_URL = `postgres://${to('DB_USER')}:${to('DB_PASSWORD')}@db.test/x`
  const config = loadConfig({
    DATABASE_URL,
    DB_USER: 'u',
    DB_PASSWORD: 'p%23',
    APP_KEY: TEST_KEY,
    APP_ENV: 'local',
  })
  t.equal(config.databaseUrl, 'postgres://u:p%23@db.test/x')
  t.match(problemsOf({ PORT: `${to('SECRET')}`, SECRET: 's3cret' }), [
    /^PORT=\$\{SECRET\}: expected a whole number/,
  ])
  t.equal(fromOf({ MAIL_FROM: `${to('constructor')} <a@b.test>` }), `${to('constructor')} <a@b.test>`)
  for (const [name, value] of [
    ['APP_HOSTS', `${to('SECRET')} x`],
    ['SECURITY_CONTACT', to('SECRET')],
    ['MODERATION_URL', 'ftp://user:s3cret@a.test/'],
    ['APP_URL', 'https://user:s3cret@a.test/'],
  ] as const) {
    const [problem = ''] = problemsOf({ [name]: value, SECRET: 's3cret' })
    t.match(problem, new RegExp(`^${name}=.*: expected `))
    t.notMatch(problem, 's3cret')
  }
})
