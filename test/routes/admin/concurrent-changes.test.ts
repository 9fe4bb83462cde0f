import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { lockUsers } from '#src/database/authority.ts'
import { grant, seedPermissions } from '#src/database/permissions.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE, NOW, testClock } from '../../fixtures/clock.ts'
import { commandOn } from '../../fixtures/command-line.ts'
import { aPanelUser, PanelBrowser } from '../../fixtures/panel.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import {
  afterStatement,
  beforeStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../support/databases.ts'

const ENVIRONMENT = {
  ...UNLIMITED,
  APP_ENV: 'local',
  SESSION_LIFETIME: '525600',
  LOGIN_RATE_LIMIT: '1000000',
  LOGIN_FAILURE_LIMIT: '1000000',
  CONFIRM_PASSWORD_RATE_LIMIT: '1000000',
  RATE_LIMIT_ANONYMOUS: '1000000',
  RATE_LIMIT_AUTHENTICATED: '1000000',
}

const startServer = (t: Test, database: TestDatabase, clock = testClock()) =>
  startApp(t, { database, environment: ENVIRONMENT, clock })

const anAdministrator = (app: TestApp, database: TestDatabase) =>
  aPanelUser(app, database, { roles: ['Admin'] })

interface UserIds {
  actor: number
  subject: number
}

/** SQL that adds a named row of one table to a user. */
const insertFor = (table: string, key: string, named: string, id: number, name: string) =>
  `insert into ${table} (${key}, model_type, model_id)
    select id, '${USER_TYPE}', ${id} from ${named} where name = '${name}'`

/** Changes that other requests can commit while a form is processed, and the status that the form gets then. */
const CONCURRENT_CHANGES: Record<string, [statement: (ids: UserIds) => string, status: number]> = {
  "the actor's role was revoked": [
    ({ actor }) => `delete from model_has_roles where model_id = ${actor}`,
    403,
  ],
  "the actor's role lost its permissions": [
    () => `delete from role_has_permissions where permission_id in
      (select id from permissions where name ~ '^(update (user|role)|(create|delete) sanction)$')`,
    403,
  ],
  'the actor was prohibited the permission': [
    ({ actor }) => insertFor('model_prohibitions', 'prohibition_id', 'prohibitions', actor, 'view filament'),
    403,
  ],
  'the sessions of the actor were ended': [
    ({ actor }) => `delete from sessions where user_id = ${actor}`,
    303,
  ],
  'the actor was deleted': [({ actor }) => `update users set deleted_at = now() where id = ${actor}`, 303],
  'the subject was granted more permissions': [
    ({ subject }) =>
      insertFor('model_has_permissions', 'permission_id', 'permissions', subject, 'bypass authorization'),
    403,
  ],
  'the subject was deleted': [
    ({ subject }) => `update users set deleted_at = now() where id = ${subject}`,
    404,
  ],
}

/** All rows about a user that forms of the panel can change, as text. */
async function readRowsOf({ kysely }: TestDatabase, id: number) {
  const of = (table: 'model_has_roles' | 'model_sanctions' | 'model_prohibitions') =>
    kysely.selectFrom(table).selectAll().where('model_id', '=', id).execute()
  return JSON.stringify([
    await of('model_has_roles'),
    await of('model_sanctions'),
    await of('model_prohibitions'),
    await kysely.selectFrom('users').select('email_verified_at').where('id', '=', id).execute(),
    await kysely.selectFrom('sessions').select('id').where('user_id', '=', id).execute(),
    await kysely.selectFrom('notifications').select('id').where('notifiable_id', '=', id).execute(),
    await kysely.selectFrom('personal_access_tokens').select('id').where('tokenable_id', '=', id).execute(),
  ])
}

const rolePermissions = async ({ kysely }: TestDatabase, roleId: number) =>
  (
    await kysely
      .selectFrom('role_has_permissions')
      .select('permission_id')
      .where('role_id', '=', roleId)
      .orderBy('permission_id')
      .execute()
  ).map(({ permission_id }) => permission_id)

const idOfRole = async ({ kysely }: TestDatabase, name: string) =>
  (await kysely.selectFrom('roles').select('id').where('name', '=', name).executeTakeFirstOrThrow()).id

for (const engine of PRODUCTION_ENGINE) {
  t.test(`changes that are committed while the password of a form is verified, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    for (const [what, [statement, status]] of Object.entries(CONCURRENT_CHANGES)) {
      await t.test(`a form grants no role if ${what}`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await startServer(t, database)
        const { browser, user } = await anAdministrator(app, database)
        const subject = await aUser(database)
        const path = `/admin/users/${subject.id}`
        const page = await browser.open(path)
        const before = await readRowsOf(database, subject.id)
        const came = afterStatement(t, database, /^with "replaced"/, other =>
          other.query(statement({ actor: user.id, subject: subject.id }), []),
        )
        const fields = { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' }
        const answer = await browser.sendForm(page, `${path}/roles`, fields)
        t.equal(came(), true)
        t.equal(answer.status, status)
        t.not(answer.headers.location, `${path}?done=user-roles`)
        t.equal(await readRowsOf(database, subject.id), before)
      })
    }
    for (const what of [
      "the actor's role was revoked",
      'the actor was prohibited the permission',
      'the sessions of the actor were ended',
    ]) {
      await t.test(`a form does not edit a role if ${what}`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await startServer(t, database)
        const { browser, user } = await anAdministrator(app, database)
        const role = await idOfRole(database, 'Patron')
        const page = await browser.open(`/admin/roles/${role}`)
        const before = await rolePermissions(database, role)
        const [statement, status] = CONCURRENT_CHANGES[what] ?? [() => '', 0]
        const came = afterStatement(t, database, /^with "replaced"/, other =>
          other.query(statement({ actor: user.id, subject: user.id }), []),
        )
        const fields = { 'permissions[]': ['view user'], current_password: PASSWORD, confirmed: '1' }
        t.equal((await browser.sendForm(page, `/admin/roles/${role}`, fields)).status, status)
        t.equal(came(), true)
        t.strictSame(await rolePermissions(database, role), before)
      })
    }
  })
}

t.test('forms check permissions after their transaction has locked the users', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const FORMS: Record<string, Record<string, string | string[]>> = {
    verify: {},
    roles: { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' },
    revoke: { confirmed: '1' },
    ban: { ban: 'everything', permanent: '1', confirmed: '1' },
    lift: { ban: '' },
    notify: { type: 'App\\Notifications\\X', data: '{}' },
  }
  for (const [form, fields] of Object.entries(FORMS)) {
    for (const [what, [statement, status]] of Object.entries(CONCURRENT_CHANGES)) {
      await t.test(`${form} is refused if ${what} before the lock`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await startServer(t, database)
        const { browser, user } = await anAdministrator(app, database)
        const subject = await aMember(database, { verified: false })
        await new TestBrowser(app).logIn(subject)
        const prohibition = insertFor(
          'model_prohibitions',
          'prohibition_id',
          'prohibitions',
          subject.id,
          'view dump',
        )
        await sql.raw(prohibition).execute(database.kysely)
        const page = await browser.open(`/admin/users/${subject.id}`)
        const ban = /name="ban" value="(prohibition:\d+)"/.exec(page.text)?.[1] ?? ''
        const before = await readRowsOf(database, subject.id)
        const came = beforeStatement(t, database, /for no key update/, other =>
          other.query(statement({ actor: user.id, subject: subject.id }), []),
        )
        const sent = { ...fields, ...(form === 'lift' && { ban }) }
        const answer = await browser.sendForm(page, `/admin/users/${subject.id}/${form}`, sent)
        t.equal(came(), true)
        t.equal(answer.status, status)
        t.equal(await readRowsOf(database, subject.id), before)
        t.strictSame(app.mailbox.mails, [])
      })
    }
  }
})

t.test('forms that wait behind logins are refused once their permission is revoked', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const clock = testClock()
  const [busy, other] = [await startServer(t, database, clock), await startServer(t, database, clock)]
  const { kysely } = database
  const actor = await aMember(database)
  const { browser: supervisor, user } = await anAdministrator(other, database)
  const guests = new TestBrowser(busy)
  await guests.get('/sanctum/csrf-cookie')
  const command = await commandOn(database)
  const byPanel = async (form: string, fields = {}) => {
    const path = `/admin/users/${actor.id}`
    const page = await supervisor.open(path)
    return async () => {
      const answer = await supervisor.sendForm(page, `${path}/${form}`, { ...fields, confirmed: '1' })
      if (answer.headers.location === undefined) throw new Error(answer.text)
    }
  }

  /** Ways to revoke the permission of the actor: each returns, after its preparation, the revocation. */
  const REVOCATIONS: ((subject: { email: string }) => Promise<() => Promise<unknown>>)[] = [
    () => byPanel('roles', { current_password: user.password }),
    async () => () => command('role', 'revoke', '--email', actor.email, '--role', 'Admin'),
    async () => () => kysely.deleteFrom('model_has_roles').where('model_id', '=', actor.id).execute(),
    () => byPanel('revoke'),
    async () => () => kysely.deleteFrom('sessions').where('user_id', '=', actor.id).execute(),
    async ({ email }) =>
      () =>
        command('permission', 'grant', '--email', email, '--permission', 'bypass authorization'),
  ]
  const hasRole = async (id: number) =>
    (await kysely.selectFrom('model_has_roles').selectAll().where('model_id', '=', id).execute()).length > 0

  let decided = 0
  for (let round = 0; round < 36; round += 1) {
    await grant(kysely, 'role', { userId: actor.id, types: [USER_TYPE] }, ['Admin'])
    // The password confirmation of the supervisor expires, too.
    clock.advance(181 * MINUTE)
    const browser = new PanelBrowser(busy)
    await browser.logIn(actor)
    const subject = await aUser(database)
    const path = `/admin/users/${subject.id}`
    const page = await browser.open(path)
    const revoke = await REVOCATIONS[round % REVOCATIONS.length]?.(subject)
    const logins = Array.from({ length: 30 }, () =>
      guests.clone().post('/login', { email: actor.email, password: 'wrong' }),
    )
    const fields = { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' }
    const form = browser.sendForm(page, `${path}/roles`, fields)
    await revoke?.()
    const wasGrantedBefore = await hasRole(subject.id)
    const { status, headers } = await form
    await Promise.all(logins)
    if (wasGrantedBefore) continue
    decided += 1
    t.notOk(await hasRole(subject.id), `round ${round}`)
    const isRefused = status === 403 || status === 419 || headers.location?.startsWith('/admin/login')
    t.ok(isRefused, `round ${round}: ${status}`)
  }
  t.ok(decided >= 7, `${decided} forms were decided after the revocation`)
})

t.test('commands that change a user wait for the lock of a form and time out', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const user = await aUser(database, { roles: ['Patron'], permissions: ['view dump'] })
  const command = await commandOn(database)
  const before = await readRowsOf(database, user.id)
  await database.kysely.transaction().execute(async transaction => {
    await lockUsers(transaction, [user.id])
    await Promise.all(
      [
        ['role', 'grant', '--role', 'Admin'],
        ['role', 'revoke', '--role', 'Patron'],
        ['permission', 'grant', '--permission', 'view user'],
        ['permission', 'revoke', '--permission', 'view dump'],
      ].map(args =>
        t.rejects(
          command(...args, '--email', user.email),
          /(lock|statement) timeout|no response within/,
          args.join(' '),
        ),
      ),
    )
  })
  t.equal(await readRowsOf(database, user.id), before)
  await command('role', 'grant', '--role', 'Admin', '--email', user.email)
  t.not(await readRowsOf(database, user.id), before)
})
