import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { problemsOf } from './fixtures/config.ts'
import { TEST_KEY } from './support/app.ts'

const DATABASE_URL = 'postgres://user:s3cret@db.test/accounts'

t.test('plain HTTP is for this machine, or for whoever insists', async t => {
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
  const insisting = { ...production, APP_URL: 'http://10.0.0.5', ALLOW_INSECURE_HTTP: 'true' }
  t.strictSame(problemsOf(insisting), [])
  t.match(
    configWarnings(loadConfig(insisting), insisting).join('\n'),
    /^ALLOW_INSECURE_HTTP=true and APP_URL=/m,
  )
})

t.test("this machine's names are first parties of a server on this machine", async t => {
  const local = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']
  for (const [environment, expected] of [
    [{}, local],
    [{ APP_URL: 'http://localhost:9000' }, local],
    [{ APP_URL: 'http://127.0.0.1:9000', DATABASE_URL, APP_KEY: TEST_KEY }, local],
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
