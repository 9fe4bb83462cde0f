import { PassThrough, Writable } from 'node:stream'
import t from 'tap'
import { verifyPassword } from '#src/auth/password.ts'
import { askSecretly } from '#src/commands/terminal.ts'
import { deleteUser } from '#src/database/deleted-users.ts'
import { TestBrowser } from '../fixtures/browser.ts'
import { NOW } from '../fixtures/clock.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { NEW_PASSWORD } from '../fixtures/passwords.ts'
import { aMember, aUser, PASSWORD } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'

const { database, command, commandIn } = await commandLine(t)

const similarTo = (what: string) =>
  `The password is too similar to ${what}. Please choose a different password.`

/** A user, a function that runs `user password` for the user, and one that checks the stored password. */
async function aUserWithCommand() {
  const user = await aMember(database)
  const setPassword = (context: Parameters<typeof commandIn>[0], ...args: string[]) =>
    commandIn(context, 'user', 'password', '--email', user.email, ...args)
  const hasPassword = async (password: string) => {
    const rows = database.kysely.selectFrom('users').select('password').where('id', '=', user.id)
    return verifyPassword(password, (await rows.executeTakeFirstOrThrow()).password)
  }
  return { user, setPassword, hasPassword }
}

/** A terminal that answers questions with these lines. */
function fakeTerminal(...lines: string[]) {
  const questions: string[] = []
  const askSecretly = async (question: string) => {
    questions.push(question)
    return lines.shift() ?? ''
  }
  return { questions, askSecretly }
}

const standardInput = (input: string) => ({ readInput: async () => input })

const createUser = (name: string, ...args: string[]) =>
  command('user', 'create', '--name', name, '--email', `${name}@example.org`, '--password', PASSWORD, ...args)

const rolesOf = async (email: string) =>
  (
    await database.kysely
      .selectFrom('users')
      .innerJoin('model_has_roles', 'model_id', 'users.id')
      .innerJoin('roles', 'roles.id', 'role_id')
      .select('roles.name')
      .where('email', '=', email)
      .orderBy('roles.name')
      .execute()
  ).map(role => role.name)

t.test('user create adds an unverified user without roles', async t => {
  const { out, error } = await createUser('alice')
  t.equal(error, null)
  t.match(out, [/^Created user \d+, alice <alice@example\.org>\.$/])
  const row = await database.kysely
    .selectFrom('users')
    .selectAll()
    .where('name', '=', 'alice')
    .executeTakeFirstOrThrow()
  t.match(row.password, /^\$2y\$04\$/)
  t.equal(await verifyPassword(PASSWORD, row.password), true)
  t.equal(row.email_verified_at, null)
  t.equal(row.created_at, '2026-03-01 12:00:00')
  t.strictSame(await rolesOf('alice@example.org'), [])
})

t.test('user create --verified --role grants roles', async t => {
  await createUser('bob', '--verified', '--role', 'Patron', '--role', 'Verified')
  t.strictSame(await rolesOf('bob@example.org'), ['Patron', 'Verified'])
})

t.test('user create refuses taken names and addresses, and unknown roles', async t => {
  await createUser('erin')
  t.equal((await createUser('ERIN')).error, 'The email has already been taken.', 'names ignore case')
  const taken = await command(
    'user',
    'create',
    '--name',
    'Erin',
    '--email',
    'x@example.org',
    '--password',
    PASSWORD,
  )
  t.equal(taken.error, 'The name has already been taken.')
  t.match((await createUser('carol', '--role', 'King')).error, /^There is no role King\. Roles: /)
  const carol = await database.kysely.selectFrom('users').select('id').where('name', '=', 'carol').execute()
  t.strictSame(carol, [], 'no user is created')
})

t.test('user create refuses invalid names, addresses and passwords', async t => {
  for (const [args, message] of [
    [
      ['--name', 'e', '--email', 'no-address', '--password', 'x'],
      '--email no-address: The email must be a valid email address.',
    ],
    [['--name', ' ', '--email', 'e@example.org', '--password', 'x'], '--name  : The name field is required.'],
    [['--name', 'e', '--email', 'e@example.org', '--password', ''], 'The password field is required.'],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'x'.repeat(73)],
      'The password must not be longer than 72 bytes.',
    ],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'a\0b'],
      'The password must not contain a NUL character.',
    ],
    [
      ['--name', 'e', '--email', 'e@example.org', '--password', 'P@ssw0rd2024!'],
      'The password is too common. Please choose a different password.',
    ],
    [
      ['--name', 'e', '--email', 'gretel.frost@example.org', '--password', 'Gretel-Frost-1'],
      similarTo('your e-mail address'),
    ],
  ] as const) {
    t.match((await command('user', 'create', ...args)).error, message)
  }
})

t.test('user password sets a new password and ends all sessions', async t => {
  const user = await aMember(database)
  const app = await startApp(t, { database })
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  const setPassword = (email: string, password: string) =>
    command('user', 'password', '--email', email, '--password', password)
  const { out, error } = await setPassword(user.email.toUpperCase(), NEW_PASSWORD)
  t.equal(error, null)
  t.match(out, [/has a new password\. All sessions have ended\. Tokens remain valid\.$/])
  t.equal((await browser.get('/api/me')).status, 401)
  t.equal((await get(app, '/api/me', user.token)).status, 200)
  t.equal((await browser.post('/login', { email: user.email, password: PASSWORD })).status, 422)
  t.equal((await browser.post('/login', { email: user.email, password: NEW_PASSWORD })).status, 200)
  t.match(
    (await setPassword('unknown@example.org', 'x')).error,
    'There is no user with the e-mail address unknown',
  )
  t.match(
    (await setPassword(user.email, 'x'.repeat(73))).error,
    'The password must not be longer than 72 bytes.',
  )
  t.equal((await setPassword(user.email, `${user.name}-2024!`)).error, similarTo('your name'))
})

t.test('a new password is read from the terminal, twice', async t => {
  const { setPassword, hasPassword } = await aUserWithCommand()
  const { questions, askSecretly } = fakeTerminal('Typed-horse-1', 'Typed-horse-1')
  const { error, err } = await setPassword({ askSecretly })
  t.equal(error, null)
  t.strictSame(err, [], 'no warning')
  t.strictSame(questions, ['New password: ', 'New password, once more: '])
  t.ok(await hasPassword('Typed-horse-1'))
  const other = await setPassword({ askSecretly: fakeTerminal('Typed-horse-2', 'Typed-horse-3').askSecretly })
  t.equal(other.error, 'The password confirmation does not match.')
  const common = await setPassword({
    askSecretly: fakeTerminal('P@ssw0rd2024!', 'P@ssw0rd2024!').askSecretly,
  })
  t.equal(common.error, 'The password is too common. Please choose a different password.')
  t.ok(await hasPassword('Typed-horse-1'), 'the password is unchanged')
})

t.test('--password-stdin reads one line from standard input', async t => {
  const { setPassword, hasPassword } = await aUserWithCommand()
  for (const [input, password] of [
    ['Piped-horse-1', 'Piped-horse-1'],
    ['Piped-horse-2\n', 'Piped-horse-2'],
    ['Piped-horse-3\r\n', 'Piped-horse-3'],
    [' Piped horse 4 \n', ' Piped horse 4 '],
  ] as const) {
    const { error, err } = await setPassword(standardInput(input), '--password-stdin')
    t.equal(error, null)
    t.strictSame(err, [])
    t.ok(await hasPassword(password), JSON.stringify(input))
  }
  t.equal(
    (await setPassword(standardInput('Piped-horse-5\n'), '--password', '-')).error,
    null,
    '--password - is an older form of --password-stdin',
  )
  t.ok(await hasPassword('Piped-horse-5'))
  for (const [input, message] of [
    ['', 'The password field is required.'],
    ['\n', 'The password field is required.'],
    ['Piped-horse-6\nmore\n', '--password-stdin: expected a single line.'],
    ['1qaz2wsx3edc4rfv', 'The password is too common. Please choose a different password.'],
  ] as const) {
    t.equal((await setPassword(standardInput(input), '--password-stdin')).error, message)
  }
  t.ok(await hasPassword('Piped-horse-5'))
})

t.test('--password prints a warning', async t => {
  const { setPassword, hasPassword } = await aUserWithCommand()
  const { error, err } = await setPassword({}, '--password', 'Given-horse-1')
  t.equal(error, null)
  t.match(err, [/^warning: .*process list.*shell history.*--password-stdin/])
  t.notMatch(err.join(), 'Given-horse-1')
  t.ok(await hasPassword('Given-horse-1'))
  t.match(
    (await setPassword(standardInput('Piped-horse-7'), '--password-stdin', '--password', 'Given-horse-2'))
      .error,
    /cannot be used with option '--password/,
  )
})

t.test('without a terminal and without --password-stdin the command fails', async t => {
  const { setPassword, hasPassword } = await aUserWithCommand()
  const { error } = await setPassword({})
  t.match(error, /^error: no password: run this on a terminal .* or use --password-stdin\.$/)
  const created = await commandIn({}, 'user', 'create', '--name', 'zoe', '--email', 'zoe@example.org')
  t.equal(created.error, error)
  t.ok(await hasPassword(PASSWORD))
})

t.test('askSecretly() does not echo the typed line', async t => {
  const typeKeys = (...keys: string[]) => {
    const input = new PassThrough()
    const shown: string[] = []
    const output = new Writable({
      write(chunk, _encoding, done) {
        shown.push(String(chunk))
        done()
      },
    })
    const answer = askSecretly('New password: ', input, output)
    for (const key of keys) input.write(key)
    return { input, shown, answer }
  }
  const typed = typeKeys('sec', 'x', '\x7f', 'ret\r')
  t.equal(await typed.answer, 'secret', 'backspace deletes a character')
  t.strictSame(typed.shown, ['New password: ', '\n'])
  t.equal(await typeKeys('\x15pässwörd 日本\n').answer, 'pässwörd 日本')
  for (const end of ['\x03', '\x04']) await t.rejects(typeKeys(end).answer, /^No password was entered\.$/)
  const ended = typeKeys()
  ended.input.end()
  await t.rejects(ended.answer, /^No password was entered\.$/)
})

t.test('user two-factor-disable removes the second factor', async t => {
  const user = await aMember(database)
  await database.kysely
    .updateTable('users')
    .set({ two_factor_secret: 'lost', two_factor_confirmed_at: '2026-01-01 00:00:00' })
    .where('id', '=', user.id)
    .execute()
  const app = await startApp(t, { database })
  const logIn = async () => (await new TestBrowser(app).logIn(user)).json
  const disable = (email: string) => command('user', 'two-factor-disable', '--email', email)
  t.strictSame(await logIn(), { two_factor: true })
  t.match((await disable(user.email)).out, [/^Removed the second factor of /])
  t.strictSame(await logIn(), { two_factor: false })
  t.match((await disable(user.email)).out, [/has no second factor\.$/])
  t.match((await disable('unknown@example.org')).error, 'There is no user with the e-mail address unknown')
})

t.test('user restore restores a deleted account with its tokens', async t => {
  const [user, other] = [await aUser(database), await aUser(database)]
  const restore = (email: string) => command('user', 'restore', '--email', email)
  const notDeleted = `There is no deleted user with the e-mail address ${user.email}.`
  t.equal((await restore(user.email)).error, notDeleted, 'an account that is not deleted')
  await deleteUser(database.kysely, user.id, NOW)
  await deleteUser(database.kysely, other.id, NOW)
  const app = await startApp(t, { database })
  t.equal((await get(app, '/api/me', user.token)).status, 401)
  t.strictSame((await restore(user.email.toUpperCase())).out, [
    `Restored ${user.email.toUpperCase()}, with all tokens.`,
  ])
  t.equal((await get(app, '/api/me', user.token)).json.user.id, user.id)
  t.equal((await get(app, '/api/me', other.token)).status, 401)
  t.equal((await restore(user.email)).error, notDeleted)
  t.match((await command('activity', '--email', user.email)).out.join(), 'account restored')
})
