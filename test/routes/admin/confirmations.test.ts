import t, { type Test } from 'tap'
import { MINUTE } from '../../fixtures/clock.ts'
import { aPanelUser, formsOf, PanelBrowser, textOf } from '../../fixtures/panel.ts'
import { aRole } from '../../fixtures/roles.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { ODD_VALUES } from '../../fixtures/values.ts'
import { get, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const UNCHANGED = 'Nothing has changed.'

for (const engine of PRODUCTION_ENGINE) {
  t.test(`confirmation of changes that cannot be undone, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await testQuestions(t, database)
    await testConfirmation(t, database)
    await testConcurrentChanges(t, database)
    await testBans(t, database)
  })
}

/** All rows that a confirmed form can change, as text. */
async function readChangeableRows({ kysely }: TestDatabase) {
  const tables = [
    'personal_access_tokens',
    'model_has_roles',
    'role_has_permissions',
    'model_sanctions',
    'model_prohibitions',
    'remembered_devices',
  ] as const
  const rows = []
  for (const table of tables) rows.push(await kysely.selectFrom(table).selectAll().execute())
  const sessions = await kysely
    .selectFrom('sessions')
    .select('id')
    .where('user_id', 'is not', null)
    .orderBy('id')
    .execute()
  return JSON.stringify([rows, sessions])
}

interface Case {
  page: string
  action: string
  fields?: Record<string, string | string[]>
  /** The text of the question. */
  question: RegExp
  back: string
}

/** Starts a server with an administrator and another user, and lists every form that asks for a confirmation. */
async function startWithQuestions(t: Test, database: TestDatabase, { isConfirmed = true } = {}) {
  const app = await startUnlimited(t, database)
  const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'], confirmed: isConfirmed })
  const other = await aMember(database, { roles: ['Encoder'] })
  await new PanelBrowser(app).logIn({ email: other.email, password: PASSWORD })
  const second = new PanelBrowser(app)
  second.page = { 'user-agent': 'Lynx <b>' }
  await second.logIn(user)
  const role = await aRole(database, ['view dump'])
  const path = `/admin/users/${other.id}`
  const device = /action="(\/admin\/devices\/[0-9a-f]{64}\/end)"/.exec(
    (await browser.open('/admin/devices')).text,
  )
  const cases: Record<string, Case> = {
    'revoking a token': {
      page: '/admin',
      action: `/admin/tokens/${user.tokenId}/revoke`,
      question: /Revoke “test”\? Programs that use this token lose access/,
      back: '/admin',
    },
    'revoking all tokens': {
      page: '/admin',
      action: '/admin/tokens/revoke-all',
      question: new RegExp(`2 tokens will be revoked: test \\(begins with ${user.tokenId}\\|\\)`),
      back: '/admin',
    },
    'ending a device': {
      page: '/admin/devices',
      action: device?.[1] ?? '',
      question: /Log out this browser\? Program Lynx <b> Address 127\.0\.0\.1 It must log in again/,
      back: '/admin/devices',
    },
    'ending all others': {
      page: '/admin/devices',
      action: '/admin/devices/end-others',
      question: /One browser has to log in again: Lynx <b> at 127\.0\.0\.1/,
      back: '/admin/devices',
    },
    'cutting a user off': {
      page: path,
      action: `${path}/revoke`,
      question: new RegExp(`${other.name} \\(${other.email}\\) Revokes 1 token, 1 login`),
      back: path,
    },
    'changing the roles of a user': {
      page: path,
      action: `${path}/roles`,
      fields: { 'roles[]': ['Patron', 'Developer'], current_password: PASSWORD },
      question: new RegExp(
        `${other.email}\\) Adds (Developer Patron|Patron Developer) Removes Encoder Change`,
      ),
      back: path,
    },
    'banning a user': {
      page: path,
      action: `${path}/ban`,
      fields: { ban: 'everything', reason: 'a & "b" <c>', expires_at: '2026-03-08' },
      question: /Banned from everything Until 2026-03-08 00:00 UTC Reason a & "b" <c>/,
      back: path,
    },
    'changing a role': {
      page: `/admin/roles/${role.id}`,
      action: `/admin/roles/${role.id}`,
      fields: { 'permissions[]': ['view user'], current_password: PASSWORD },
      question: new RegExp(`Role ${role.name} Adds view user Removes view dump No users have it now\\.`),
      back: `/admin/roles/${role.id}`,
    },
  }
  await aToken(database, user.id)
  return { app, browser, user, other, path, role, cases }
}

async function testQuestions(t: Test, database: TestDatabase) {
  await t.test('every form asks first, and changes rows when the question is confirmed', async t => {
    const { app, browser, user, other, role, cases } = await startWithQuestions(t, database)
    // The case that ends all other sessions comes after the one that ends a single session.
    for (const [name, { page, action, fields, question: text, back }] of Object.entries(cases)) {
      const before = await readChangeableRows(database)
      const question = await browser.submit(await browser.open(page), action, fields)
      t.equal(question.status, 200, name)
      t.match(textOf(question), text, name)
      t.match(question.text, `<a class="button quiet" href="${back}">`, `${name}: the question links back`)
      t.notMatch(question.text, PASSWORD, 'the question does not contain the password')
      t.notMatch(question.text, 'current_password')
      t.equal(await readChangeableRows(database), before, `${name}: nothing has changed yet`)
      if (name === 'ending all others') await new PanelBrowser(app).logIn({ ...user, password: PASSWORD })
    }
    for (const name of [
      'changing a role',
      'changing the roles of a user',
      'banning a user',
      'ending a device',
    ]) {
      const { page, action, fields } = cases[name] as Case
      const before = await readChangeableRows(database)
      const done = await browser.submitConfirmed(await browser.open(page), action, fields)
      t.equal(done.status, 200)
      t.match(done.text, '<p class="flash"', name)
      t.not(await readChangeableRows(database), before, name)
    }
    const held = await database.kysely
      .selectFrom('model_has_roles')
      .innerJoin('roles', 'roles.id', 'role_id')
      .select('name')
      .where('model_id', '=', other.id)
      .execute()
    t.strictSame(held.map(({ name }) => name).sort(), ['Developer', 'Patron'])
    const ban = await database.kysely
      .selectFrom('model_sanctions')
      .select('reason')
      .where('model_id', '=', other.id)
      .executeTakeFirstOrThrow()
    t.equal(ban.reason, 'a & "b" <c>')
    const allowed = await database.kysely
      .selectFrom('role_has_permissions')
      .innerJoin('permissions', 'permissions.id', 'permission_id')
      .select('name')
      .where('role_id', '=', role.id)
      .execute()
    t.strictSame(allowed, [{ name: 'view user' }])
  })

  await t.test('leaving the question changes nothing', async t => {
    const { browser, cases } = await startWithQuestions(t, database)
    const before = await readChangeableRows(database)
    for (const { page, action, fields, back } of Object.values(cases)) {
      await browser.submit(await browser.open(page), action, fields)
      t.equal((await browser.open(back)).status, 200)
    }
    t.equal(await readChangeableRows(database), before)
  })

  await t.test('a form with a wrong CSRF token or from another site gets no question', async t => {
    const { browser, cases } = await startWithQuestions(t, database)
    for (const [name, { page, action, fields = {} }] of Object.entries(cases)) {
      const form = await browser.open(page)
      const forged = await browser.clone().sendForm(form, action, { ...fields, _token: 'x' })
      t.equal(forged.status, 419, name)
      const headers = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
      t.equal((await browser.clone().sendForm(form, action, fields, headers)).status, 403, name)
    }
  })

  await t.test('a form that would change nothing gets no question', async t => {
    const app = await startUnlimited(t, database)
    const { browser, user } = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = await aUser(database, { roles: ['Encoder'] })
    const path = `/admin/users/${other.id}`
    const roles = { 'roles[]': ['Encoder', 'no such role'], current_password: PASSWORD }
    t.match(textOf(await browser.submit(await browser.open(path), `${path}/roles`, roles)), UNCHANGED)
    const matrix = await browser.open('/admin/roles')
    const rolePath = /href="(\/admin\/roles\/\d+)">Encoder</.exec(matrix.text)?.[1] ?? ''
    const page = await browser.open(rolePath)
    const ticked = [...page.text.matchAll(/value="([^"]+)" checked/g)].map(([, name]) => name ?? '')
    t.match(textOf(await browser.submit(page, rolePath, { 'permissions[]': ticked })), UNCHANGED)
    await new PanelBrowser(app).logIn({ ...user, password: PASSWORD })
    const devices = await browser.open('/admin/devices')
    await browser.submitConfirmed(devices, '/admin/devices/end-others')
    t.match(textOf(await browser.submit(devices, '/admin/devices/end-others')), UNCHANGED)
    await aToken(database, user.id)
    const tokens = await browser.open('/admin')
    await database.kysely.deleteFrom('personal_access_tokens').execute()
    t.match(textOf(await browser.submit(tokens, '/admin/tokens/revoke-all')), UNCHANGED)
    t.match(textOf(await browser.submit(await browser.open(path), `${path}/revoke`)), UNCHANGED)
  })
}

async function testConfirmation(t: Test, database: TestDatabase) {
  await t.test('the password is requested once, before the question', async t => {
    const { browser, cases } = await startWithQuestions(t, database, { isConfirmed: false })
    for (const name of ['changing a role', 'changing the roles of a user']) {
      const { page, action, fields } = cases[name] as Case
      const fresh = await browser.open(page)
      if (name === 'changing a role') {
        for (const current_password of ['', 'wrong']) {
          const refused = await browser.submit(fresh, action, { ...fields, current_password })
          t.equal(refused.status, 422)
          t.match(textOf(refused), 'The provided password was incorrect.')
          t.notMatch(refused.text, 'name="confirmed"')
        }
        t.equal(
          (await browser.submit(fresh, action, { ...fields, current_password: '', confirmed: '1' })).status,
          422,
        )
      }
      t.match(
        textOf(await browser.submitConfirmed(fresh, action, fields)),
        /The roles were changed|permissions of the role were changed/,
      )
    }
  })

  await t.test(
    'a question answered after the password confirmation expired asks for the password again',
    async t => {
      const { app, browser, cases } = await startWithQuestions(t, database)
      const { page, action, fields } = cases['changing a role'] as Case
      const question = await browser.submit(await browser.open(page), action, fields)
      // Requests keep the session itself alive.
      for (let n = 0; n < 4; n++) {
        app.clock.advance(50 * MINUTE)
        await browser.open('/admin')
        await app.lastUse.flush()
      }
      const late = await browser.submit(question, action)
      t.equal(late.status, 422)
      t.match(late.text, 'name="current_password"')
    },
  )

  await t.test('only confirmed=1 counts as a confirmation', async t => {
    const { app, browser, user, cases } = await startWithQuestions(t, database)
    const { page, action } = cases['revoking a token'] as Case
    const { _token = '' } = formsOf(await browser.open(page))[0]?.hidden ?? {}
    for (const confirmed of ['', '0', 'no', 'x', '2']) {
      const answer = await browser.post(action, { _token, confirmed })
      t.equal(answer.status, 200, `confirmed=${confirmed} gets the question`)
    }
    t.equal((await get(app, '/api/me', user.token)).status, 200)
    t.equal((await browser.post(action, { _token, confirmed: '1' })).status, 303)
    t.equal((await get(app, '/api/me', user.token)).status, 401)
  })

  await t.test('a confirmation field of any JSON type is never a 5xx', async t => {
    const { browser, cases } = await startWithQuestions(t, database)
    const before = await readChangeableRows(database)
    for (const { page, action, fields } of Object.values(cases)) {
      const form = formsOf(await browser.open(page)).find(one => one.action === action)
      for (const value of [...ODD_VALUES, { a: { b: ['<script>', { c: null }] } }]) {
        for (const name of ['confirmed', '_seen', '_once', 'more']) {
          const known = { ...form?.hidden, ...fields, permissions: ['view user'], roles: ['Patron'] }
          // Values that mean yes would confirm the form.
          const payload = {
            ...known,
            ...(name !== 'confirmed' || (value !== 1 && value !== true) ? { [name]: value } : {}),
          }
          const answer = await browser.bare('POST', action, { payload })
          t.ok(answer.status < 500, `${action} ${name} ${JSON.stringify(value)}: ${answer.status}`)
          t.notMatch(answer.text, '<script>')
        }
      }
    }
    t.equal(await readChangeableRows(database), before)
  })
}

async function testConcurrentChanges(t: Test, database: TestDatabase) {
  const requestRoles = (app: TestApp, token: string) => get(app, '/api/me?include=roles', token)

  await t.test('the question is asked again if the roles of the user changed since', async t => {
    const { app, browser, other, cases } = await startWithQuestions(t, database)
    const { page, action, fields } = cases['changing the roles of a user'] as Case
    const question = await browser.submit(await browser.open(page), action, fields)
    const colleague = await aPanelUser(app, database, { roles: ['Admin'] })
    await colleague.browser.submitConfirmed(await colleague.browser.open(page), action, {
      'roles[]': ['Encoder', 'Patron'],
      current_password: PASSWORD,
    })
    const again = await browser.submit(question, action)
    t.equal(again.status, 200)
    t.match(textOf(again), /The data has changed in the meantime.*Adds Developer Removes Encoder/)
    t.match((await requestRoles(app, other.token)).text, 'Encoder', 'nothing was changed')
    t.match(textOf(await browser.submit(again, action)), 'The roles were changed.')
    t.notMatch((await requestRoles(app, other.token)).text, 'Encoder')
  })

  await t.test('the question is asked again if another token would end too', async t => {
    const { app, browser, user, cases } = await startWithQuestions(t, database)
    const { page, action } = cases['revoking all tokens'] as Case
    const question = await browser.submit(await browser.open(page), action)
    await aToken(database, user.id)
    t.match(textOf(await browser.submit(question, action)), /The data has changed.*3 tokens will be revoked/)
    t.equal((await get(app, '/api/me', user.token)).status, 200)
  })

  await t.test('a role that another administrator changed since the question is 409', async t => {
    const { app, browser, cases } = await startWithQuestions(t, database)
    const { page, action, fields } = cases['changing a role'] as Case
    const question = await browser.submit(await browser.open(page), action, fields)
    const colleague = await aPanelUser(app, database, { roles: ['Admin'] })
    const other = { 'permissions[]': ['view role'], current_password: PASSWORD }
    await colleague.browser.submitConfirmed(await colleague.browser.open(page), action, other)
    const late = await browser.submit(question, action)
    t.equal(late.status, 409)
    t.match(textOf(late), 'changed the roles in the meantime.')
  })

  await t.test('confirming the revocation of a token that is gone is 404', async t => {
    const { browser, user, cases } = await startWithQuestions(t, database)
    const { page, action } = cases['revoking a token'] as Case
    const question = await browser.submit(await browser.open(page), action)
    await database.kysely.deleteFrom('personal_access_tokens').where('id', '=', user.tokenId).execute()
    t.equal((await browser.submit(question, action)).status, 404)
  })
}

async function testBans(t: Test, database: TestDatabase) {
  await t.test('a ban without scope, or without exactly one of expiry and permanence, is 422', async t => {
    const { browser, other, path } = await startWithQuestions(t, database)
    const page = await browser.open(path)
    t.match(page.text, /<select id="ban" name="ban" required><option value>Choose what to ban from</)
    t.notMatch(page.text, /<option [^>]*selected/)
    t.notMatch(page.text, /name="permanent" value="1" checked/)
    const fields = { ban: 'everything', reason: 'x' }
    for (const [more, sentence] of [
      [{ ban: '', permanent: '1' }, 'The ban field is required.'],
      [{}, 'Say until when, or tick that the ban has no end.'],
      [{ permanent: '0' }, 'Say until when, or tick that the ban has no end.'],
      [
        { permanent: '1', expires_at: '2026-03-08' },
        'Give a date or tick that the ban has no end, not both.',
      ],
      [{ expires_at: '2020-01-01' }, 'The expires at must be a date after now.'],
      [{ ban: 'sanction:999', permanent: '1' }, 'The selected ban is invalid.'],
    ] as [Record<string, string>, string][]) {
      for (const confirmed of ['', '1']) {
        const answer = await browser.submit(page, `${path}/ban`, { ...fields, ...more, confirmed })
        t.equal(answer.status, 422, JSON.stringify(more))
        t.match(textOf(answer), sentence)
        if (more.ban === undefined) t.match(answer.text, '<option value="everything" selected>')
      }
    }
    const held = await database.kysely
      .selectFrom('model_sanctions')
      .select('sanction_id')
      .where('model_id', '=', other.id)
      .execute()
    t.strictSame(held, [])
  })

  await t.test('the question shows the ban that a new one replaces', async t => {
    const { browser, path } = await startWithQuestions(t, database)
    const ban = (fields: Record<string, string>) => ({ ban: 'everything', ...fields })
    await browser.submitConfirmed(
      await browser.open(path),
      `${path}/ban`,
      ban({ permanent: '1', reason: 'spam' }),
    )
    const shorter = ban({ expires_at: '2026-03-08' })
    const question = await browser.submit(await browser.open(path), `${path}/ban`, shorter)
    t.match(textOf(question), /Until 2026-03-08 00:00 UTC Reason none Replaces a permanent ban: spam/)
  })

  await t.test('lifting a ban asks no question', async t => {
    const { browser, path } = await startWithQuestions(t, database)
    const fields = { ban: 'everything', permanent: '1' }
    const banned = await browser.submitConfirmed(await browser.open(path), `${path}/ban`, fields)
    t.match(textOf(await browser.submit(banned, `${path}/lift`)), 'The ban was lifted.')
  })
}
