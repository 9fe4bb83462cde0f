import t from 'tap'
import { TestBrowser } from '../fixtures/browser.ts'
import { commandLine } from '../fixtures/command-line.ts'
import { aMember, aUser } from '../fixtures/users.ts'
import { get, startApp } from '../support/app.ts'

const { database, command } = await commandLine(t)

t.test('session list shows the browsers of a user, and session end logs them out', async t => {
  const user = await aMember(database)
  const app = await startApp(t, { database })
  const logIn = async (agent: string) => {
    const browser = new TestBrowser(app)
    browser.page = { ...browser.page, 'user-agent': agent }
    await browser.logIn(user)
    return browser
  }
  const [phone, tablet, desk] = [
    await logIn('Phone/1'),
    await logIn('Tablet\u009b31m'),
    await logIn('Desk/1'),
  ]
  const isLoggedIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200
  const { out } = await command('session', 'list', '--email', user.email)
  t.equal(out.length, 4)
  t.match(out[0], /^ID +LAST ACTIVE +REMEMBERED +ADDRESS +PROGRAM$/)
  t.ok(
    out.some(line => line.includes('Tablet?31m')),
    'control characters are replaced',
  )
  const [id = ''] = (out.find(line => line.includes('Phone/1')) ?? '').split(' ')
  t.match((await command('session', 'end', id, '--email', user.email)).out, [`Logged out ${id}.`])
  t.strictSame([await isLoggedIn(phone), await isLoggedIn(tablet)], [false, true])
  t.match(
    (await command('session', 'end', id, '--email', user.email)).error,
    `${user.email} has no browser ${id}.`,
  )
  t.match(
    (await command('session', 'end', '--email', user.email)).error,
    /give either the ID of a browser, or --all/,
  )
  await command('session', 'end', '--all', '--email', user.email)
  t.strictSame([await isLoggedIn(tablet), await isLoggedIn(desk)], [false, false])
})

t.test('activity lists the latest events of a user', async t => {
  const user = await aMember(database)
  const app = await startApp(t, { database })
  for (let n = 0; n < 3; n += 1) await new TestBrowser(app).logIn(user)
  await app.events.drain()
  await command('session', 'end', '--all', '--email', user.email)
  await command('role', 'grant', '--email', user.email, '--role', 'Admin')
  const { out: events } = await command('activity', '--email', user.email, '--most', '4')
  t.match(events[0], /^AT +EVENT +ADDRESS +PROGRAM +DETAILS$/)
  t.match(events.slice(1).join('\n'), /role granted +- +- +\{"name":"Admin","by":"command line"\}/)
  t.match(events.slice(1).join('\n'), /session ended .*"which":"all"/)
  t.equal(events.length, 5)
})

t.test('role and permission grant and revoke', async t => {
  const { email, token } = await aUser(database)
  const app = await startApp(t, {
    database,
    routes: app => {
      app.get(
        '/restricted',
        { config: { access: { auth: 'required', permission: 'view playlist' } } },
        async () => ({}),
      )
    },
  })
  const isAllowed = async () => (await get(app, '/restricted', token)).status === 200

  t.equal(await isAllowed(), false)
  t.strictSame((await command('role', 'grant', '--email', email, '--role', 'Verified')).out, [
    `Granted role Verified: ${email}.`,
  ])
  t.equal(await isAllowed(), true)
  t.equal(
    (await command('role', 'grant', '--email', email, '--role', 'Verified')).error,
    null,
    'granting twice',
  )
  await command('role', 'revoke', '--email', email, '--role', 'Verified')
  t.equal(await isAllowed(), false)
  await command('permission', 'grant', '--email', email, '--permission', 'view playlist')
  t.equal(await isAllowed(), true)
  t.strictSame(
    (await command('permission', 'revoke', '--email', email, '--permission', 'view playlist')).out,
    [`Revoked permission view playlist: ${email}.`],
  )
  t.equal(await isAllowed(), false)
  t.match(
    (await command('role', 'revoke', '--email', email, '--role', 'King')).error,
    /^There is no role King\. Roles: /,
  )
  t.equal(
    (await command('permission', 'grant', '--email', email, '--permission', 'rule')).error,
    'There is no permission rule. "permission list" has all of them.',
  )
})
