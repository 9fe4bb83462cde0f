import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { commandLine } from '../fixtures/command-line.ts'
import { TEST_KEY } from '../support/app.ts'
import { run } from '../support/processes.ts'

t.test('every command has a --help', async t => {
  const { command } = await commandLine(t)
  const { out } = await command('--help')
  for (const name of ['serve', 'migrate', 'seed', 'user', 'token', 'role', 'permission', 'openapi']) {
    t.match(out.join(), new RegExp(`^ {2}${name}`, 'm'))
    const { out: help, err } = await command(name, '--help')
    t.match(help.join(), new RegExp(`^Usage: animethemes-auth ${name}`))
    t.strictSame(err, [])
  }
  t.strictSame((await command('serve', '--loud')).err, ["error: unknown option '--loud'"])
  t.strictSame((await command('token', 'revoke')).err, [
    'error: give either the ID of a token, or --all with --email',
  ])
})

t.test('exit codes and error messages of the process', async t => {
  const help = await run({}, ['--help'])
  t.equal(help.code, 0)
  t.match(help.out, /^Usage: animethemes-auth/)
  t.equal(help.err, '')

  for (const [args, expected] of [
    [['token', 'create'], /^error: required option '--email <email>' not specified$/],
    [['token', 'creat'], /^error: unknown command 'creat' \(Did you mean create\?\)$/],
    [['token'], /^Usage: animethemes-auth token/],
  ] as const) {
    const { code, out, err } = await run({}, args)
    t.equal(code, 2, args.join(' '))
    t.equal(out, '')
    t.match(err.trimEnd(), expected)
  }

  const misconfigured = await run({ PORT: 'x', LOG_LEVEL: 'y' }, ['migrate'])
  t.equal(misconfigured.code, 1)
  t.match(
    misconfigured.err,
    /^error: PORT=x: expected a whole number from 0 to 65535; LOG_LEVEL=y: expected one of [^\n]+\n$/,
  )

  const unreachable = await run({ DATABASE_URL: 'postgres://x:s3cret@127.0.0.1:1/x', APP_KEY: TEST_KEY }, [
    'migrate',
  ])
  t.equal(unreachable.code, 1)
  t.match(unreachable.err, /^error: The database is not available[^\n]*ECONNREFUSED[^\n]*\n$/)
  t.notMatch(unreachable.err, 's3cret')

  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-env-'))
  writeFileSync(join(folder, '.env'), 'PORT=from-file\nLOG_LEVEL=loud\n')
  const fromFile = await run({ LOG_LEVEL: 'info' }, ['migrate'], { cwd: folder })
  t.equal(
    fromFile.err,
    'error: PORT=from-file: expected a whole number from 0 to 65535\n',
    '.env is read, and the environment takes precedence',
  )
})

t.test('seed and migrate are idempotent', async t => {
  const { database, command } = await commandLine(t)
  const countRows = async () => {
    const tables = [
      'users',
      'roles',
      'permissions',
      'role_has_permissions',
      'prohibitions',
      'playlists',
    ] as const
    const counts: number[] = []
    for (const table of tables) {
      const { n } = await database.kysely
        .selectFrom(table)
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
      counts.push(n)
    }
    return counts
  }
  const before = await countRows()
  t.strictSame((await command('seed')).out, ['Roles and permissions are in place.'])
  t.strictSame(await countRows(), before)
  t.strictSame((await command('migrate')).out, ['Nothing to migrate.'])
  const [seeded, other] = await Promise.all([command('seed', '--demo'), command('seed', '--demo')])
  t.strictSame([seeded.error, other.error], [null, null], 'two concurrent seeds')
  const created = [seeded, other].find(({ out }) => out[1]?.startsWith('Demo user'))
  t.match(created?.out, [/in place/, /^Demo user demo@example\.org, password \S+, token \d+\|\S+$/])
  const after = await countRows()
  t.ok((after[0] ?? 0) >= 4 && (after.at(-1) ?? 0) >= 5)
  await database.kysely.insertInto('videos').defaultValues().execute()
  await database.kysely
    .updateTable('users')
    .set({ email: 'Demo@Example.org' })
    .where('email', '=', 'demo@example.org')
    .execute()
  t.strictSame((await command('seed', '--demo')).out.slice(1), [
    'The demo users already exist. "demo" shows how to log in as one.',
  ])
  t.strictSame(await countRows(), after)
})
