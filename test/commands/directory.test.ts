import t from 'tap'
import { commandLine } from '../fixtures/command-line.ts'
import { aUser } from '../fixtures/users.ts'

/** A line of a table with one space between its cells. */
const cells = (line = '') => line.replace(/ {2,}/g, ' | ')

t.test('role list shows the roles with how many users and permissions each has', async t => {
  const { database, command } = await commandLine(t)
  await aUser(database, { roles: ['Admin'] })
  await aUser(database, { roles: ['Admin', 'Encoder'] })
  const { out } = await command('role', 'list')
  t.equal(cells(out[0]), 'ROLE | USERS | DEFAULT | PERMISSIONS')
  const lines = out.map(cells)
  t.ok(lines.some(line => /^Admin \| 2 \| no \| \d+$/.test(line)))
  t.ok(lines.some(line => /^Encoder \| 1 \| no \| \d+$/.test(line)))
})

t.test('permission list shows the permissions with their roles, or those of one role', async t => {
  const { command } = await commandLine(t)
  const all = (await command('permission', 'list')).out
  t.ok(all.map(cells).some(line => /^view filament \| .*Admin/.test(line)))
  const some = (await command('permission', 'list', '--role', 'Patron')).out
  t.ok(some.length > 1 && some.length < all.length)
  t.match(
    (await command('permission', 'list', '--role', 'Patrol')).error,
    /There is no role Patrol\. Roles: .*Patron/,
  )
})

t.test('user list finds users by text and role, newest first', async t => {
  const { database, command } = await commandLine(t)
  const admin = await aUser(database, { roles: ['Admin'] })
  const other = await aUser(database, { verified: false })
  const all = (await command('user', 'list')).out
  t.equal(cells(all[0]), 'ID | NAME | EMAIL | VERIFIED | ROLES')
  t.equal(cells(all[1]), `${other.id} | ${other.name} | ${other.email} | no | -`)
  t.equal(all.length, 3)
  t.equal((await command('user', 'list', '--most', '1')).out.length, 2)
  t.match((await command('user', 'list', '--most', '0')).error, 'expected a whole number from 1')
  const admins = (await command('user', 'list', '--role', 'Admin')).out
  t.strictSame(admins.slice(1).map(cells), [`${admin.id} | ${admin.name} | ${admin.email} | yes | Admin`])
  const found = (await command('user', 'list', '--search', other.email)).out
  t.equal(found.length, 2)
  t.equal((await command('user', 'list', '--search', 'no-such-user')).error, 'No user matches.')
})

t.test('user show tells roles, permissions, tokens and sessions of a user', async t => {
  const { database, command } = await commandLine(t)
  const { email, name } = await aUser(database, { roles: ['Patron'], permissions: ['view filament'] })
  const { out } = await command('user', 'show', '--email', email)
  const values = Object.fromEntries(out.map(line => line.split(/ {2,}/)))
  t.match(values, { name, email, verified: 'yes', roles: 'Patron', tokens: '1', sessions: '0' })
  t.match(values.permissions, /view filament/)
  const { error } = await command('user', 'show', '--email', 'missing@example.org')
  t.equal(error, 'There is no user with the e-mail address missing@example.org.')
})

t.test('an unknown role or permission is refused with the names that exist', async t => {
  const { database, command } = await commandLine(t)
  const { email } = await aUser(database)
  for (const verb of ['grant', 'revoke']) {
    const role = await command('role', verb, '--email', email, '--role', 'admin')
    t.match(role.error, /^There is no role admin\. Roles: .*\bAdmin\b.*\.$/, verb)
    const permission = await command('permission', verb, '--email', email, '--permission', 'view filamnet')
    t.match(permission.error, /^There is no permission view filamnet\. Did you mean "view filament"\?/, verb)
  }
  const user = ['--name', 'new', '--email', 'new@example.org', '--password', 'Correct horse 1']
  const created = await command('user', 'create', ...user, '--role', 'Moderator!')
  t.match(created.error, /^There is no role Moderator!\. Roles: /)
  t.equal((await command('user', 'list', '--search', 'new@example.org')).error, 'No user matches.')
})

t.test('without roles the answer names the command that adds them', async t => {
  const { database, command } = await commandLine(t)
  const { email } = await aUser(database)
  await database.kysely.deleteFrom('roles').execute()
  const { error } = await command('role', 'grant', '--email', email, '--role', 'Admin')
  t.equal(error, 'There is no role Admin. The database has none: run "seed".')
  t.strictSame((await command('role', 'list')).out, ['There are no roles: run "seed".'])
})
