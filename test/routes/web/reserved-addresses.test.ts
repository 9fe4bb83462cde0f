import t, { type Test } from 'tap'
import { insertUser } from '#src/database/users.ts'
import { TestBrowser } from '../../fixtures/browser.ts'
import { DAY, NOW } from '../../fixtures/clock.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { UNLIMITED } from '../../fixtures/settings.ts'
import { aMember, PASSWORD } from '../../fixtures/users.ts'
import { startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'

const TAKEN = { email: ['The email has already been taken.'] }

let made = 0
const someAddress = () => `reserved-${process.pid}-${++made}@example.org`

for (const engine of PRODUCTION_ENGINE) {
  t.test(`an address that can be reverted to is kept for its user on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await reserved(t, database)
  })
}

/** A user who has confirmed the password, and may change the address. */
async function member(app: TestApp, database: TestDatabase, verified = true) {
  const user = await aMember(database, { verified })
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  const ask = async (email: string) =>
    browser.send('PUT', '/user/profile-information', { payload: { email } })
  const follow = ({ pathname, search }: URL) => browser.get(pathname + search)
  /** Moves to another address, and leaves the present one reserved. */
  const move = async (email: string) => {
    t.equal((await ask(email)).status, 200)
    t.equal((await follow(linkIn(await app.mailbox.next()))).status, 204)
    await app.mailbox.next()
  }
  const address = async () => (await browser.get('/api/me')).json.user.email
  return { user, browser, ask, follow, move, address }
}

async function reserved(t: Test, database: TestDatabase) {
  await t.test('from who asked for it while it was free', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const [owner, other] = [await member(app, database), await member(app, database)]
    const wanted = someAddress()
    t.equal((await other.ask(wanted)).status, 200)
    const link = linkIn(await app.mailbox.next())
    await owner.move(wanted)
    await owner.move(someAddress())
    const late = await other.follow(link)
    t.equal(late.status, 422)
    t.strictSame(late.json.errors, TAKEN)
    t.equal(await other.address(), other.user.email)
  })

  await t.test('from who changes at once while it is left', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const [owner, other] = [await member(app, database), await member(app, database, false)]
    const wanted = someAddress()
    const { profileErrors } = app.screening
    let isOther = true
    app.screening.profileErrors = async (...call) => {
      const errors = await profileErrors(...call)
      if (isOther) {
        isOther = false
        await owner.move(wanted)
        await owner.move(someAddress())
      }
      return errors
    }
    t.strictSame((await other.ask(wanted)).json.errors, TAKEN)
    t.equal(await other.address(), other.user.email)
  })

  await t.test('from new users, however they are made', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const owner = await member(app, database)
    await owner.move(someAddress())
    const user = { name: `n${process.pid}${++made}`, password: '!' as never, verified: true }
    const insert = (now: number) =>
      insertUser(database.kysely, { ...user, email: owner.user.email.toUpperCase(), now })
    await t.rejects(insert(NOW), { message: 'The email has already been taken.' })
    t.ok(await insert(NOW + 8 * DAY), 'for seven days')
  })

  await t.test('but not from its own user', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const owner = await member(app, database)
    await owner.move(someAddress())
    await owner.move(owner.user.email)
    t.equal(await owner.address(), owner.user.email)
    const rows = database.kysely.selectFrom('email_reverts').select('email')
    const left = await rows.where('user_id', '=', owner.user.id).execute()
    t.strictSame(left, [], 'and no address since can take it away again')
  })

  await t.test('a change is not confirmed for a session that ended before it', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const owner = await member(app, database)
    await owner.ask(someAddress())
    const link = linkIn(await app.mailbox.next())
    await database.kysely.deleteFrom('sessions').where('user_id', '=', owner.user.id).execute()
    t.equal((await owner.follow(link)).status, 401)
    t.equal(await ownerAddress(database, owner.user.id), owner.user.email)
  })
}

const ownerAddress = async ({ kysely }: TestDatabase, id: number) =>
  (await kysely.selectFrom('users').select('email').where('id', '=', id).executeTakeFirstOrThrow()).email
