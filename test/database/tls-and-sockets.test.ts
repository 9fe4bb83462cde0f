import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { loadConfig } from '#src/config/load.ts'
import { configWarnings } from '#src/config/warnings.ts'
import { postgresConnections } from '#src/database/postgres.ts'
import { problemsOf } from '../fixtures/config.ts'
import { TEST_KEY } from '../support/app.ts'
import { startOwnPostgres } from '../support/services.ts'

/** A certificate for localhost, which is its own authority. */
const certificate = () =>
  generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] },
    ],
  })

const [own, other] = await Promise.all([certificate(), certificate()])
const server = await startOwnPostgres(
  { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
  { 'server.crt': own.cert, 'server.key': own.private },
)
t.teardown(() => server.stop())
const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-tls-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const authority = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return `sslrootcert=${encodeURIComponent(path)}`
}
const OWN = authority('own.pem', own.cert)
const OTHER = authority('other.pem', other.cert)
const LOGIN = 'postgres://postgres:postgres@'

/** How a URL reaches the server: whether encrypted, and whether over a network; or why it does not. */
async function reach(url: string) {
  const source = postgresConnections(url, () => {})
  try {
    const session = await source.acquire()
    const { rows } = await session.query(
      'select ssl, inet_client_addr() is not null as network from pg_stat_ssl where pid = pg_backend_pid()',
      [],
    )
    await session.release()
    return rows[0]
  } catch (error) {
    return (error as Error).message
  } finally {
    await source.close()
  }
}

const ENCRYPTED = { ssl: true, network: true }
const PLAIN = { ssl: false, network: true }

t.test('TLS', async t => {
  for (const [host, query, expected] of [
    ['localhost', `sslmode=verify-full&${OWN}`, ENCRYPTED],
    ['127.0.0.1', `sslmode=verify-full&${OWN}`, /IP: 127\.0\.0\.1 is not in the cert's list/],
    ['127.0.0.1', `sslmode=verify-ca&${OWN}`, ENCRYPTED],
    [
      'localhost',
      `sslmode=verify-full&${OTHER}`,
      /self-signed certificate.*sslrootcert in DATABASE_URL must name/,
    ],
    ['localhost', `sslmode=verify-ca&${OTHER}`, /self-signed certificate/],
    ['localhost', `sslmode=require&${OTHER}`, /self-signed certificate/],
    ['127.0.0.1', `sslmode=require&${OWN}`, ENCRYPTED],
    ['localhost', 'sslmode=verify-full', /self-signed certificate/],
    ['localhost', 'sslmode=verify-full&sslrootcert=system', /self-signed certificate/],
    ['localhost', 'ssl=true', /self-signed certificate/],
    ['127.0.0.1', 'sslmode=require', ENCRYPTED],
    ['127.0.0.1', 'sslmode=no-verify', ENCRYPTED],
    ['127.0.0.1', 'sslmode=disable', PLAIN],
    ['127.0.0.1', '', PLAIN],
  ] as const) {
    const found = await reach(`${LOGIN}${host}:${server.port}/postgres?${query}`)
    const name = `${host} with ${query.replace(/sslrootcert=.*%2F/, 'sslrootcert=')}`
    if (expected instanceof RegExp) t.match(found, expected, name)
    else t.strictSame(found, expected, name)
  }

  await t.test('statements are cancelled, and notifications arrive', async t => {
    const url = `${LOGIN}localhost:${server.port}/postgres?sslmode=verify-full&${OWN}`
    const statementMs = { identity: 3_000, login: 5_000, write: 200, list: 5_000 }
    const source = postgresConnections(url, () => {}, { limits: { statementMs } })
    const session = await source.acquire()
    await t.rejects(session.query('select pg_sleep(30)', []), /no response within 200 ms/)
    t.strictSame((await session.query('select 1 as one', [])).rows, [{ one: 1 }], 'the session stays usable')
    const heard = new Promise(message => {
      void source.listen('news', { message, lost: message }).then(async listener => {
        await session.query(`notify news, 'one'`, [])
        await listener.roundTrip()
        t.teardown(() => listener.close())
      })
    })
    t.equal(await heard, 'one')
    await session.release()
    await source.close()
  })
})

t.test('sockets', async t => {
  const SOCKET = { ssl: false, network: false }
  const [directory, host] = [server.folder, encodeURIComponent(server.folder)]
  t.teardown(setEnvironment('PGHOST', directory))
  for (const url of [
    `postgres:///postgres?host=${directory}&port=${server.port}&user=postgres&password=postgres`,
    `postgresql:///postgres?host=${directory}&port=${server.port}&user=postgres&password=postgres&sslmode=verify-full`,
    `${LOGIN}/postgres?host=${directory}&port=${server.port}`,
    `${LOGIN}?host=${directory}&port=${server.port}`,
    `${LOGIN}:${server.port}/postgres?host=${directory}`,
    `${LOGIN}${host}:${server.port}/postgres`,
    `${LOGIN}${host}/postgres?port=${server.port}`,
    `${LOGIN}/postgres?port=${server.port}`,
  ]) {
    t.strictSame(await reach(url), SOCKET, url.replaceAll(directory, 'DIR').replaceAll(host, 'DIR'))
  }
  t.strictSame(
    await reach(`${LOGIN}127.0.0.1:${server.port}/postgres`),
    PLAIN,
    'a host takes precedence over PGHOST',
  )
})

/** Sets a variable of this process, and returns what puts the old value back. */
function setEnvironment(name: string, value: string) {
  const before = process.env[name]
  process.env[name] = value
  return () => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}

const problemOf = (DATABASE_URL: string) =>
  problemsOf({ DATABASE_URL, APP_KEY: TEST_KEY, APP_ENV: 'local' }).join('\n')

t.test('URLs that are refused when the server starts', async t => {
  const url = (query: string) => `postgres://u:secret@db.example.org/x?${query}`
  for (const [text, expected] of [
    [url('sslmode=prefer'), /^DATABASE_URL: expected sslmode=verify-full, .* with prefer the network could/],
    [url('sslmode=allow'), /with allow the network could/],
    [
      url('sslmode=full'),
      /^DATABASE_URL: expected sslmode to be one of disable, require, verify-ca, verify-full/,
    ],
    [url('sslmode=verify-ca'), /expected sslrootcert with sslmode=verify-ca/],
    [url(`${OWN}`), /expected sslmode=verify-full with sslrootcert/],
    [
      url('sslmode=verify-full&sslrootcert=/nowhere.pem'),
      /sslrootcert to be a file that can be read \(ENOENT.*nowhere/,
    ],
    [url('sslmode=verify-full&sslcert=/nowhere.crt'), /sslcert to be a file/],
    [url('port=x'), /expected a number as port/],
    ['postgres://u:secret@a:5432,b:5432/x', /expected a URL of one host/],
    ['postgres://u:secret@db/100%', /expected a percent sign as %25/],
  ] as const) {
    const problem = problemOf(text)
    t.match(problem, expected, text)
    t.notMatch(problem, 'secret')
  }
  t.equal(problemOf(url(`sslmode=verify-full&${OWN}`)), '')
})

t.test('a server that is not verified is warned of in production', async t => {
  const warningsFor = (DATABASE_URL: string) => {
    const environment = { DATABASE_URL, APP_KEY: TEST_KEY, APP_URL: 'https://api.example.org' }
    return configWarnings(loadConfig(environment), environment).filter(text =>
      text.startsWith('DATABASE_URL'),
    )
  }
  for (const query of ['sslmode=require', 'sslmode=no-verify']) {
    t.match(warningsFor(`postgres://u@db.example.org/x?${query}`), [
      /^DATABASE_URL has an sslmode without .*: the connection is encrypted, but the server is not verified\. Use sslmode=verify-full/,
    ])
  }
  t.strictSame(warningsFor(`postgres://u@db.example.org/x?sslmode=require&${OWN}`), [])
  t.strictSame(warningsFor('postgres://u@db.example.org/x'), [])
})
