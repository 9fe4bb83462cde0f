import t, { type Test } from 'tap'
import { HashWorkerLost } from '#src/auth/hash-workers.ts'
import { SPA, TestBrowser } from '../../../fixtures/browser.ts'
import { linkIn } from '../../../fixtures/mailbox.ts'
import { type ManualPasswordWork, manualPasswordWork } from '../../../fixtures/password-work.ts'
import { changePassword, NEW_PASSWORD, withConfirmation } from '../../../fixtures/passwords.ts'
import { aMember, PASSWORD } from '../../../fixtures/users.ts'
import { type Answer, passwordWorkHere, send, startApp, type TestApp } from '../../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../../support/databases.ts'
import { until } from '../../../support/until.ts'

const WRONG = 'wrong'

/** The logins that an address may try within a minute: for one account, and for all accounts. */
const PER_ACCOUNT = 5
const PER_ADDRESS = 20

/** How many logins of unknown addresses wait at most: in all, and of one network. */
const PLACES = 100
const PLACES_PER_NETWORK = 4
const DEADLINE = 5_000

const HOME = '198.51.100.1'
const ELSEWHERE = '198.51.100.2'

const manyAccounts = Array.from({ length: 8 * PER_ADDRESS }, (_, n) => `no-account-${n}@example.org`)

/** Starts a server behind a proxy, with password work that the test controls. */
async function startWithManualWork(
  t: Test,
  database: TestDatabase,
  environment: Record<string, string> = {},
) {
  const manual = manualPasswordWork()
  const app = await startApp(t, {
    database,
    passwordWork: manual.work,
    environment: { TRUSTED_PROXIES: 'loopback', LOGIN_FAILURE_LIMIT: '100000', ...environment },
  })
  return { app, manual }
}

/** A browser at an address, with its cookies. */
async function browserAt(app: TestApp, address: string): Promise<TestBrowser> {
  const browser = new TestBrowser(app, { referer: `${SPA}/`, 'x-forwarded-for': address })
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

/** How many passwords wait for their turn, in one lane or in both. */
async function waitingIn(app: TestApp, lane = '.*'): Promise<number> {
  // Not over HTTP, since polling would reach the rate limit.
  const { text } = await app.metrics.render()
  const values = [...text.matchAll(new RegExp(`^passwords_waiting\\{lane="${lane}"\\} (\\d+)$`, 'gm'))]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

const nextTurn = () => new Promise(setImmediate)

const waitsFor = (app: TestApp, lane: 'known' | 'stranger', count: number) =>
  until(async () => (await waitingIn(app, lane)) === count)

interface Flood {
  answers: Answer[]
  /** Settles with the last answer. */
  over: Promise<unknown>
}

/**
 * Sends logins from several addresses, as many from each as its limits allow, and waits until each was refused, waits,
 * or has its turn.
 */
async function flood(
  app: TestApp,
  manual: ManualPasswordWork,
  { addresses, emails }: { addresses: string[]; emails: string[] },
): Promise<Flood> {
  const answers: Answer[] = []
  const [email = ''] = emails
  const each = emails.length === 1 ? PER_ACCOUNT : PER_ADDRESS
  const browsers = await Promise.all(addresses.map(address => browserAt(app, address)))
  const before = (await waitingIn(app)) + manual.started.length
  const sent = browsers.flatMap((browser, index) =>
    Array.from({ length: each }, async (_, n) => {
      const target = emails[(index * each + n) % emails.length] ?? email
      answers.push(await browser.clone().post('/login', { email: target, password: WRONG }))
    }),
  )
  await until(async () => {
    const taken = (await waitingIn(app)) + manual.started.length - before
    return taken + answers.length === addresses.length * each
  })
  return { answers, over: Promise.all(sent) }
}

const addressesOf = (count: number) => Array.from({ length: count }, (_, n) => `203.0.113.${n + 1}`)

/**
 * Sends a request, waits until it waits for its turn, and ends turns until it has one.
 *
 * @returns the answer to come, and how many turns of others began before
 */
async function turnOf(
  app: TestApp,
  manual: ManualPasswordWork,
  { lane, password }: { lane: 'known' | 'stranger'; password: string },
  request: () => Promise<Answer>,
) {
  const [waiting, from] = [await waitingIn(app, lane), manual.started.length]
  const answer = request()
  await until(async () => (await waitingIn(app, lane)) > waiting)
  return { answer, turns: await turnsUntil(manual, password, from) }
}

/** Ends turns until one of a password begins, and returns how many others began before. */
async function turnsUntil(
  manual: ManualPasswordWork,
  password: string,
  from = manual.started.length,
): Promise<number> {
  while (!manual.started.includes(password, from)) {
    manual.endTurn()
    await nextTurn()
  }
  return manual.started.indexOf(password, from) - from
}

/** Ends the turn of a password, and returns the answer to its request. */
function finish(manual: ManualPasswordWork, password: string, answer: Promise<Answer>): Promise<Answer> {
  manual.endTurnOf(password)
  return answer
}

for (const engine of PRODUCTION_ENGINE) {
  t.test(`floods of logins on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    for (const [count, waiting] of [
      [8, 8 * PLACES_PER_NETWORK],
      [60, PLACES],
    ] as const) {
      for (const target of ['one account', 'many accounts']) {
        await t.test(
          `a flood from ${count} addresses of ${target} delays neither known addresses nor sessions`,
          async t => {
            const { app, manual } = await startWithManualWork(t, database)
            const user = await aMember(database)
            const emails = target === 'one account' ? [user.email] : manyAccounts
            const atHome = await browserAt(app, HOME)
            t.equal((await atHome.post('/login', user)).status, 200)
            const inSession = atHome.clone()

            manual.hold()
            const attack = await flood(app, manual, { addresses: addressesOf(count), emails })
            t.equal(await waitingIn(app), waiting)
            t.ok(
              attack.answers.every(
                ({ status, headers }) => status === 503 && Number(headers['retry-after']) >= 1,
              ),
              'a refused login has a Retry-After',
            )

            const again = await browserAt(app, HOME)
            const known = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
              again.post('/login', user),
            )
            t.ok(known.turns <= 1, `a known address waits for ${known.turns} turns`)
            t.equal((await finish(manual, PASSWORD, known.answer)).status, 200)

            const confirming = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
              inSession.post('/user/confirm-password', { password: PASSWORD }),
            )
            t.ok(confirming.turns <= 1, `a session waits for ${confirming.turns} turns`)
            t.equal((await finish(manual, PASSWORD, confirming.answer)).status, 201)

            const elsewhere = await browserAt(app, ELSEWHERE)
            const fresh = await turnOf(app, manual, { lane: 'stranger', password: PASSWORD }, async () =>
              elsewhere.post('/login', await aMember(database)),
            )
            t.ok(fresh.turns < count, `an address without a history waits for ${fresh.turns} turns`)
            t.equal((await finish(manual, PASSWORD, fresh.answer)).status, 200)
            manual.release()
            await attack.over
          },
        )
      }
    }

    await t.test('an address without a turn precedes the addresses of a flood', async t => {
      const { app, manual } = await startWithManualWork(t, database)
      manual.hold()
      const addresses = addressesOf(8)
      const attack = await flood(app, manual, { addresses, emails: manyAccounts })
      while (manual.started.length < 2 * addresses.length) {
        manual.endTurn()
        await nextTurn()
      }
      const browser = await browserAt(app, ELSEWHERE)
      const user = await aMember(database)
      const { answer, turns } = await turnOf(app, manual, { lane: 'stranger', password: PASSWORD }, () =>
        browser.post('/login', user),
      )
      t.equal(turns, 0)
      t.equal((await finish(manual, PASSWORD, answer)).status, 200)
      manual.release()
      await attack.over
    })

    await t.test('a session can change its password during a flood', async t => {
      const { app, manual } = await startWithManualWork(t, database)
      const browser = await browserAt(app, HOME)
      t.equal((await browser.post('/login', await aMember(database))).status, 200)
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(60), emails: manyAccounts })
      const { answer, turns } = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
        changePassword(browser),
      )
      t.ok(turns <= 1)
      manual.endTurnOf(PASSWORD)
      await waitsFor(app, 'known', 1)
      const between = await turnsUntil(manual, NEW_PASSWORD)
      t.ok(between <= 1, `the new password waits for ${between} turns`)
      t.equal((await finish(manual, NEW_PASSWORD, answer)).status, 200)
      manual.release()
      await attack.over
    })

    await t.test('a reset token from a mail counts as a known address', async t => {
      const { app, manual } = await startWithManualWork(t, database)
      const user = await aMember(database)
      const browser = await browserAt(app, ELSEWHERE)
      await browser.post('/forgot-password', { email: user.email })
      const token = linkIn(await app.mailbox.next()).searchParams.get('token') ?? ''
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      const { answer } = await turnOf(app, manual, { lane: 'stranger', password: token }, () =>
        browser.post('/reset-password', {
          token,
          email: user.email,
          ...withConfirmation(NEW_PASSWORD),
        }),
      )
      manual.endTurnOf(token)
      await waitsFor(app, 'known', 1)
      const between = await turnsUntil(manual, NEW_PASSWORD)
      t.ok(between <= 1, `the new password waits for ${between} turns`)
      t.equal((await finish(manual, NEW_PASSWORD, answer)).status, 200)
      manual.release()
      await attack.over
    })

    await t.test('a network has four places in the queue', async t => {
      const { app, manual } = await startWithManualWork(t, database, { LOCAL_IPS: '192.0.2.0/24' })
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      const waiting = await waitingIn(app)
      const networks = [
        ['an IPv4 address', 4, (_: number) => ELSEWHERE],
        ['an IPv6 /48', 4, (n: number) => `2001:db8:1:${n}::1`],
        ['two IPv6 /48', 6, (n: number) => `2001:db8:${2 + (n % 2)}:${n}::1`],
        ['our own machines', 6, (_: number) => '192.0.2.1'],
      ] as const
      let before = waiting
      for (const [name, places, addressOf] of networks) {
        const answers: Answer[] = []
        for (let n = 0; n < 6; n++) {
          const browser = await browserAt(app, addressOf(n))
          const email = `guest-${n}@example.org`
          void browser.post('/login', { email, password: WRONG }).then(answer => answers.push(answer))
        }
        await until(async () => (await waitingIn(app)) + answers.length === before + 6)
        t.equal((await waitingIn(app)) - before, places, name)
        t.ok(
          answers.every(({ status }) => status === 503),
          `${name}: other logins are refused at once`,
        )
        before = await waitingIn(app)
      }
      manual.release()
      await attack.over
    })

    await t.test('a login that waited for five seconds is 503 and not counted', async t => {
      const { app, manual } = await startWithManualWork(t, database, { LOGIN_FAILURE_LIMIT: '1' })
      const user = await aMember(database)
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      const browser = await browserAt(app, ELSEWHERE)
      const pending = browser.post('/login', { ...user, password: WRONG })
      await waitsFor(app, 'stranger', 8 * PLACES_PER_NETWORK + 1)
      app.clock.advance(DEADLINE - 1)
      t.not(await waitingIn(app), 0)
      app.clock.advance(1)
      const answer = await pending
      t.equal(answer.status, 503)
      t.strictSame(answer.json, { message: 'Service Unavailable' })
      t.equal(answer.headers['retry-after'], '5')
      t.equal(await waitingIn(app), 0, 'all waiting logins are refused')
      t.strictSame(
        app.logged.filter(({ level }) => Number(level) >= 50),
        [],
        'no error is logged',
      )
      t.match((await send(app, 'GET', '/metrics')).text, 'password_refusals_total{reason="deadline"} 33')
      manual.release()
      await attack.over
      t.equal((await browser.post('/login', user)).status, 200, 'no wrong password was counted')
    })

    await t.test('the login of a disconnected client is not verified', async t => {
      const { app, manual } = await startWithManualWork(t, database)
      const user = await aMember(database)
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      const controller = new AbortController()
      const browser = await browserAt(app, ELSEWHERE)
      const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const base = await app.listen({ port: 0 })
      const gone = fetch(`${base}/login`, {
        method: 'POST',
        headers: {
          ...browser.page,
          cookie,
          'content-type': 'application/json',
          'x-xsrf-token': browser.cookies.get('XSRF-TOKEN') ?? '',
        },
        body: JSON.stringify(user),
        signal: controller.signal,
      })
      await waitsFor(app, 'stranger', 8 * PLACES_PER_NETWORK + 1)
      controller.abort()
      await t.rejects(gone)
      await until(async () => {
        manual.endTurn()
        return (await waitingIn(app)) === 0
      })
      t.notOk(manual.started.includes(PASSWORD))
      t.match((await send(app, 'GET', '/metrics')).text, 'password_refusals_total{reason="disconnected"} 1')
      manual.release()
      await attack.over
    })

    await t.test('a weak hash is replaced by a later login if there is no turn for it', async t => {
      const { app, manual } = await startWithManualWork(t, database, { HASH_ROUNDS: '5' })
      const user = await aMember(database)
      const hashOf = async () => {
        const { kysely } = database
        const row = kysely.selectFrom('users').select('password').where('id', '=', user.id)
        return (await row.executeTakeFirstOrThrow()).password.slice(0, 6)
      }
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      const browser = await browserAt(app, ELSEWHERE)
      const { answer } = await turnOf(app, manual, { lane: 'stranger', password: PASSWORD }, () =>
        browser.post('/login', user),
      )
      manual.endTurnOf(PASSWORD)
      await waitsFor(app, 'known', 1)
      app.clock.advance(DEADLINE)
      t.equal((await answer).status, 200)
      t.equal(await hashOf(), '$2y$04')
      manual.release()
      await attack.over
      t.equal((await browserAt(app, ELSEWHERE).then(again => again.post('/login', user))).status, 200)
      t.equal(await hashOf(), '$2y$05')
    })

    await t.test('login addresses are not queried while there is no queue', async t => {
      const { app, manual } = await startWithManualWork(t, database)
      const browser = await browserAt(app, HOME)
      const user = await aMember(database)
      const queries = () =>
        database.statements.filter(text => /^select .*from "login_addresses"/.test(text)).length
      const before = queries()
      t.equal((await browser.post('/login', user)).status, 200)
      t.equal(queries(), before)
      manual.hold()
      const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
      t.ok(queries() > before, 'with a queue they are, also for accounts that do not exist')
      manual.release()
      await attack.over
    })

    await t.test('a lost hash worker causes 503, and is not counted', async t => {
      const user = await aMember(database)
      let isBroken = true
      const app = await startApp(t, {
        database,
        environment: { LOGIN_FAILURE_LIMIT: '1' },
        passwordWork: {
          ...passwordWorkHere,
          async verify(password, hash) {
            if (isBroken) throw new HashWorkerLost()
            return passwordWorkHere.verify(password, hash)
          },
        },
      })
      const answer = await new TestBrowser(app).logIn({ ...user, password: WRONG })
      t.equal(answer.status, 503)
      t.equal(answer.headers['retry-after'], '5')
      isBroken = false
      t.equal((await new TestBrowser(app).logIn(user)).status, 200)
    })
  })
}
