import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { program } from '#src/commands/program.ts'
import { lockUsers } from '#src/database/authority.ts'
import { grant, seedPermissions } from '#src/database/permissions.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE, NOW, testClock } from '../../fixtures/clock.ts'
import { PanelBrowser } from '../../fixtures/panel.ts'
import { aMember, aUser, PASSWORD, USER_TYPE } from '../../fixtures/users.ts'
import { startApp, TEST_KEY, type TestApp } from '../../support/app.ts'
import {
  afterStatement,
  beforeStatement,
  createDatabase,
  PRODUCTION_ENGINE,
  type TestDatabase,
} from '../../support/databases.ts'

const MANY = '1000000'
const ENVIRONMENT = {
  APP_ENV: 'local',
  SESSION_LIFETIME: '525600',
  LOGIN_RATE_LIMIT: MANY,
  LOGIN_FAILURE_LIMIT: MANY,
  CONFIRM_PASSWORD_RATE_LIMIT: MANY,
  RATE_LIMIT_ANONYMOUS: MANY,
  RATE_LIMIT_AUTHENTICATED: MANY,
}

const start = (t: Test, database: TestDatabase, clock = testClock()) =>
  startApp(t, { database, environment: ENVIRONMENT, clock })

async function loggedIn(app: TestApp, database: TestDatabase, roles = ['Admin']) {
  const user = await aMember(database, { roles })
  const browser = new PanelBrowser(app)
  await browser.logIn(user)
  return { user, browser }
}

interface Ids {
  actor: number
  subject: number
}

const given = (table: string, key: string, named: string, id: number, name: string) =>
  `insert into ${table} (${key}, model_type, model_id)
    select id, '${USER_TYPE}', ${id} from ${named} where name = '${name}'`

/** What can happen while a form waits, and the answer that it gets then. */
const MEANWHILE: Record<string, [statement: (ids: Ids) => string, status: number]> = {
  "the author's role is taken": [({ actor }) => `delete from model_has_roles where model_id = ${actor}`, 403],
  "the author's role allows less": [
    () => `delete from role_has_permissions where permission_id in
      (select id from permissions where name ~ '^(update (user|role)|(create|delete) sanction)$')`,
    403,
  ],
  'the author is banned from it': [
    ({ actor }) => given('model_prohibitions', 'prohibition_id', 'prohibitions', actor, 'view filament'),
    403,
  ],
  'the author is logged out': [({ actor }) => `delete from sessions where user_id = ${actor}`, 303],
  'the author is deleted': [({ actor }) => `update users set deleted_at = now() where id = ${actor}`, 303],
  'the subject is given more': [
    ({ subject }) =>
      given('model_has_permissions', 'permission_id', 'permissions', subject, 'bypass authorization'),
    403,
  ],
  'the subject is deleted': [
    ({ subject }) => `update users set deleted_at = now() where id = ${subject}`,
    404,
  ],
}

/** All that forms of the panel can give to a user or take away. */
async function holdings({ kysely }: TestDatabase, id: number) {
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
  t.test(`forms that wait for their password on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    for (const [what, [statement, status]] of Object.entries(MEANWHILE)) {
      await t.test(`give no role if meanwhile ${what}`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await start(t, database)
        const { browser, user } = await loggedIn(app, database)
        const subject = await aUser(database)
        const path = `/admin/users/${subject.id}`
        const page = await browser.open(path)
        const before = await holdings(database, subject.id)
        const came = afterStatement(t, database, /^with "replaced"/, other =>
          other.query(statement({ actor: user.id, subject: subject.id }), []),
        )
        const fields = { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' }
        const answer = await browser.sendForm(page, `${path}/roles`, fields)
        t.equal(came(), true)
        t.equal(answer.status, status)
        t.not(answer.headers.location, `${path}?done=user-roles`)
        t.equal(await holdings(database, subject.id), before)
      })
    }
    for (const what of [
      "the author's role is taken",
      'the author is banned from it',
      'the author is logged out',
    ]) {
      await t.test(`leave roles as they are if meanwhile ${what}`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await start(t, database)
        const { browser, user } = await loggedIn(app, database)
        const role = await idOfRole(database, 'Patron')
        const page = await browser.open(`/admin/roles/${role}`)
        const before = await rolePermissions(database, role)
        const [statement, status] = MEANWHILE[what] ?? [() => '', 0]
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

t.test('every form is judged by what holds when its transaction begins to write', async t => {
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
    for (const [what, [statement, status]] of Object.entries(MEANWHILE)) {
      await t.test(`${form}, if before that ${what}`, async t => {
        await seedPermissions(database.kysely, NOW)
        const app = await start(t, database)
        const { browser, user } = await loggedIn(app, database)
        const subject = {
          ...(await aUser(database, { verified: false, password: PASSWORD })),
          password: PASSWORD,
        }
        await new TestBrowser(app).logIn(subject)
        const prohibition = given(
          'model_prohibitions',
          'prohibition_id',
          'prohibitions',
          subject.id,
          'view dump',
        )
        await sql.raw(prohibition).execute(database.kysely)
        const page = await browser.open(`/admin/users/${subject.id}`)
        const ban = /name="ban" value="(prohibition:\d+)"/.exec(page.text)?.[1] ?? ''
        const before = await holdings(database, subject.id)
        const came = beforeStatement(t, database, /for no key update/, other =>
          other.query(statement({ actor: user.id, subject: subject.id }), []),
        )
        const sent = { ...fields, ...(form === 'lift' && { ban }) }
        const answer = await browser.sendForm(page, `/admin/users/${subject.id}/${form}`, sent)
        t.equal(came(), true)
        t.equal(answer.status, status)
        t.equal(await holdings(database, subject.id), before)
        t.strictSame(app.mailbox.mails, [])
      })
    }
  }
})

t.test('a hundred forms that wait behind many logins, while what allows them goes', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const clock = testClock()
  const [busy, other] = [await start(t, database, clock), await start(t, database, clock)]
  const { kysely } = database
  const author = await aMember(database)
  const { browser: superior, user } = await loggedIn(other, database)
  const strangers = new TestBrowser(busy)
  await strangers.get('/sanctum/csrf-cookie')
  const command = await commandLine(database)
  const byPanel = async (form: string, fields = {}) => {
    const path = `/admin/users/${author.id}`
    const page = await superior.open(path)
    return async () => {
      const answer = await superior.sendForm(page, `${path}/${form}`, { ...fields, confirmed: '1' })
      if (answer.headers.location === undefined) throw new Error(answer.text)
    }
  }

  /** In what ways what allows a form can go: what is prepared before, and what is done then. */
  const WAYS: ((subject: { email: string }) => Promise<() => Promise<unknown>>)[] = [
    () => byPanel('roles', { current_password: user.password }),
    async () => () => command('role', 'revoke', '--email', author.email, '--role', 'Admin'),
    async () => () => kysely.deleteFrom('model_has_roles').where('model_id', '=', author.id).execute(),
    () => byPanel('revoke'),
    async () => () => kysely.deleteFrom('sessions').where('user_id', '=', author.id).execute(),
    async ({ email }) =>
      () =>
        command('permission', 'grant', '--email', email, '--permission', 'bypass authorization'),
  ]
  const isGiven = async (id: number) =>
    (await kysely.selectFrom('model_has_roles').selectAll().where('model_id', '=', id).execute()).length > 0

  let waited = 0
  for (let round = 0; round < 100; round += 1) {
    await grant(kysely, 'role', { userId: author.id, types: [USER_TYPE] }, ['Admin'])
    // The superior's forms owe the password as well.
    clock.advance(181 * MINUTE)
    const browser = new PanelBrowser(busy)
    await browser.logIn(author)
    const subject = await aUser(database)
    const path = `/admin/users/${subject.id}`
    const page = await browser.open(path)
    const revoke = await WAYS[round % WAYS.length]?.(subject)
    const logins = Array.from({ length: 90 }, () =>
      strangers.clone().post('/login', { email: author.email, password: 'wrong' }),
    )
    const fields = { 'roles[]': ['Encoder'], current_password: PASSWORD, confirmed: '1' }
    const form = browser.sendForm(page, `${path}/roles`, fields)
    await revoke?.()
    const wasGivenBefore = await isGiven(subject.id)
    const { status, headers } = await form
    await Promise.all(logins)
    if (wasGivenBefore) continue
    waited += 1
    t.notOk(await isGiven(subject.id), `round ${round}`)
    const isRefused = status === 403 || status === 419 || headers.location?.startsWith('/admin/login')
    t.ok(isRefused, `round ${round}: ${status}`)
  }
  t.ok(waited >= 20, `${waited} of them waited long enough`)
})

t.test('the command line gives and takes nothing while a form is at its user', async t => {
  const database = await createDatabase(t, 'postgres')
  t.teardown(() => database.close())
  const user = await aUser(database, { roles: ['Patron'], permissions: ['view dump'] })
  const command = await commandLine(database)
  const before = await holdings(database, user.id)
  await database.kysely.transaction().execute(async transaction => {
    await lockUsers(transaction, [user.id])
    await Promise.all(
      [
        ['role', 'grant', '--role', 'Admin'],
        ['role', 'revoke', '--role', 'Patron'],
        ['permission', 'grant', '--permission', 'view user'],
        ['permission', 'revoke', '--permission', 'view dump'],
      ].map(args =>
        t.rejects(command(...args, '--email', user.email), /lock timeout|no answer within/, args.join(' ')),
      ),
    )
  })
  t.equal(await holdings(database, user.id), before)
  await command('role', 'grant', '--role', 'Admin', '--email', user.email)
  t.not(await holdings(database, user.id), before)
})

/** Runs commands on a test's database in this process, as from a shell. */
async function commandLine({ kysely }: TestDatabase) {
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(kysely)
  const url = new URL(process.env.TEST_DATABASE_URL ?? '')
  url.pathname = `/${rows[0]?.name}`
  return (...args: string[]) =>
    program({
      environment: { DATABASE_URL: url.href, APP_KEY: TEST_KEY, APP_ENV: 'local' },
      print: () => {},
      warn: () => {},
      readInput: async () => '',
      askSecretly: null,
      clock: () => NOW,
      random: randomBytes,
    }).parseAsync(['node', 'animethemes-auth', ...args])
}
