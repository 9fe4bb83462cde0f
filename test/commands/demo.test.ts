import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openEmbedded } from '#src/database/embedded.ts'
import { makeFolder, run as query } from '../fixtures/embedded.ts'
import { TEST_KEY } from '../support/app.ts'
import { run, serve } from '../support/processes.ts'

t.test('the demo user of the embedded database can be shown again, as far as the access works', async t => {
  const DATA_DIR = join(makeFolder(t), 'data')
  const environment = { DATA_DIR, HASH_ROUNDS: '4' }
  const server = await serve(t, environment)
  const [, password] = /password (\S+)/.exec(await server.line(/Demo user/)) ?? []
  const [, token] = /(\d+\|\S+)/.exec(await server.line(/Demo token/)) ?? []
  t.equal((await stat(join(DATA_DIR, 'demo.json'))).mode & 0o777, 0o600)

  const again = await run(environment, ['demo'])
  t.equal(again.out, `email     demo@example.org\npassword  ${password}\ntoken     ${token}\n`)

  t.equal(await server.stop(), 0)
  const restarted = await serve(t, environment)
  t.match(await restarted.line(/Demo login, again/), 'npx animethemes-auth demo')

  const email = ['--email', 'demo@example.org']
  await run(environment, ['user', 'password', ...email, '--password-stdin'], { input: 'Another horse 2\n' })
  await run(environment, ['token', 'revoke', '--all', ...email])
  const changed = await run(environment, ['demo'])
  t.match(changed.out, /password {2}was changed: set another with "user password"/)
  t.match(changed.out, /token {5}was revoked: issue another with "token create"/)

  await t.test('without a demo user the command says how to add one', async t => {
    const source = await openEmbedded({ dataDir: DATA_DIR, command: 'test', share: true })
    t.teardown(() => source.close())
    await query(source, 'delete from users')
    const { code, err } = await run(environment, ['demo'])
    t.equal(code, 1)
    t.match(err, /There is no demo user: "seed --demo" adds one\./)
  })
})

t.test('a PostgreSQL server stores no demo access', async t => {
  const { code, err } = await run(
    { DATABASE_URL: process.env.TEST_DATABASE_URL ?? '', APP_ENV: 'local', APP_KEY: TEST_KEY },
    ['demo'],
  )
  t.equal(code, 1)
  t.match(err, /On a PostgreSQL server they are shown once/)
})
