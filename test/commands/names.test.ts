import t from 'tap'
import { deleteUser } from '#src/database/deleted-users.ts'
import { findUserByEmail } from '#src/database/users.ts'
import { NOW } from '../fixtures/clock.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { PASSWORD } from '../fixtures/users.ts'

t.test('commands find a user by equivalent forms of the e-mail address', async t => {
  const { database, command } = await commandLine(t)
  const { kysely } = database
  const { id } = await kysely
    .insertInto('users')
    .values({ name: 'jane', email: '"jane"@bücher.example', password: '!' })
    .returning('id')
    .executeTakeFirstOrThrow()
  t.equal((await command('migrate')).out.at(-1), 'Stored the comparison keys of one user.')
  for (const email of [
    'jane@xn--bcher-kva.example',
    '\u200bJANE@BU\u0308CHER.example',
    '"jane"@bücher.example\ufeff',
  ]) {
    for (const args of [
      ['user', 'password', '--password', PASSWORD],
      ['user', 'two-factor-disable'],
      ['token', 'create', '--name', 'laptop'],
      ['token', 'list'],
      ['token', 'revoke', '--all'],
      ['session', 'list'],
      ['activity'],
      ['role', 'grant', '--role', 'Patron'],
    ]) {
      const { error } = await command(...args, '--email', email)
      t.equal(error, null, `${args.join(' ')} ${encodeURI(email)}`)
    }
    await deleteUser(kysely, id, NOW)
    t.equal((await command('user', 'restore', '--email', email)).error, null)
    t.equal((await findUserByEmail(kysely, email))?.id, id)
  }
})

t.test('user restore prefers the account with the exact address', async t => {
  const { database, command } = await commandLine(t)
  const { kysely } = database
  const emails = ['kim@bücher.example', 'kim@xn--bcher-kva.example']
  const ids: number[] = []
  for (const [index, email] of emails.entries()) {
    const rows = kysely.insertInto('users').values({ name: `kim${index}`, email, password: '!' })
    ids.push((await rows.returning('id').executeTakeFirstOrThrow()).id)
  }
  const { err } = await command('migrate')
  t.strictSame(err, ['1 e-mail address has several accounts, in different forms: see "user collisions".'])
  for (const [index, email] of emails.entries()) {
    for (const id of ids) await deleteUser(kysely, id, NOW)
    await command('user', 'restore', '--email', email)
    t.equal((await findUserByEmail(kysely, emails[0] as string))?.id, ids[index])
    await deleteUser(kysely, ids[index] as number, NOW)
  }
})

t.test('user collisions lists users with equal addresses or confusable names', async t => {
  const { database, command } = await commandLine(t)
  const { kysely } = database
  t.strictSame((await command('user', 'collisions')).out, ['No two users share an e-mail address or a name.'])
  for (const [name, email] of [
    ['alice', 'alice@bücher.example'],
    ['álice', 'alice@xn--bcher-kva.example'],
    ['bоb', 'bob1@example.org'],
    ['bob', 'bob2@example.org'],
    ['modern', 'm1@example.org'],
    ['modem', 'm2@example.org'],
  ] as const) {
    await kysely.insertInto('users').values({ name, email, password: '!' }).execute()
  }
  const { out } = await command('user', 'collisions')
  const lines = out.map(line =>
    line
      .split(/ {2,}/)
      .filter((_, index) => index !== 1 && index !== 2)
      .join(' '),
  )
  t.strictSame(lines, [
    'SHARED NAME EMAIL',
    'email alice alice@bücher.example',
    'email álice alice@xn--bcher-kva.example',
    'name alice alice@bücher.example',
    'name álice alice@xn--bcher-kva.example',
    'name bоb bob1@example.org',
    'name bob bob2@example.org',
  ])
})

t.test('user create and token create refuse confusable and invisible names', async t => {
  const { command } = await commandLine(t)
  const create = (name: string, email: string) =>
    command('user', 'create', '--name', name, '--email', email, '--password', PASSWORD)
  t.equal((await create('admin', 'admin@example.org')).error, null, 'a reserved name is allowed here')
  const taken = 'The name has already been taken.'
  for (const name of ['аdmin', 'Ádmin', 'ＡＤＭＩＮ', 'adm\u200bin']) {
    t.equal((await create(name, `a${name.length}@example.net`)).error, taken, encodeURI(name))
  }
  t.equal((await create('other', '"admin"@Example.org')).error, 'The email has already been taken.')
  for (const name of ['\u3164', '\u0301', '\u200b', '\u2800', ' ']) {
    t.match((await create(name, 'b@example.org')).error, /The name field is required\.$/, encodeURI(name))
    t.match(
      (await command('token', 'create', '--email', 'admin@example.org', '--name', name)).error,
      /expected 1 to 255 visible characters\.$/,
      encodeURI(name),
    )
  }
  await command('token', 'create', '--email', 'admin@example.org', '--name', '\u202elap\u200btop')
  t.match((await command('token', 'list', '--email', 'admin@example.org')).out.join(), / laptop /)
})
