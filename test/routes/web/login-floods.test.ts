import t, { type Test } from 'tap'
import { HashWorkerLost } from '#src/auth/hash-workers.ts'
import type { PasswordWork } from '#src/auth/password.ts'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { linkIn } from '../../fixtures/mailbox.ts'
import { aUser, PASSWORD, type TestUser } from '../../fixtures/users.ts'
import { type Answer, passwordWorkHere, send, startApp, type TestApp } from '../../support/app.ts'
import { createDatabase, PRODUCTION_ENGINE, type TestDatabase } from '../../support/databases.ts'
import { until } from '../../support/until.ts'

const NEW = 'Another-horse-2'
const WRONG = 'wrong'

/** Logins that an address may try for an account within a minute, and for all together. */
const PER_ACCOUNT = 5
const PER_ADDRESS = 20

/** What waits at most, for callers without a history. */
const PLACES = 100
const PLACES_PER_NETWORK = 4
const DEADLINE = 5_000

const HOME = '198.51.100.1'
const ELSEWHERE = '198.51.100.2'

type Member = TestUser & { password: string }

for (const engine of PRODUCTION_ENGINE) {
  t.test(`floods of logins, on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await floods(t, database)
  })
}

/** Work on passwords that ends on command. */
function manualWork() {
  const started: string[] = []
  const running: { password: string; end: () => void }[] = []
  let isManual = false
  const turn = (password: string) => {
    if (!isManual) return
    started.push(password)
    return new Promise<void>(end => running.push({ password, end }))
  }
  const work: PasswordWork = {
    async verify(password, hash) {
      await turn(password)
      return passwordWorkHere.verify(password, hash)
    },
    async hash(password, rounds) {
      await turn(password)
      return passwordWorkHere.hash(password, rounds)
    },
  }
  return {
    work,
    /** The passwords whose work began since it was held, in order. */
    started,
    /** From now on work waits for the command. */
    hold() {
      isManual = true
    },
    /** Ends the turn that began first. */
    endTurn() {
      running.shift()?.end()
    },
    /** Ends the turn of a password. */
    endTurnOf(password: string) {
      const index = running.findIndex(one => one.password === password)
      running.splice(index, 1)[0]?.end()
    },
    /** Lets all work go on. */
    release() {
      isManual = false
      for (const { end } of running.splice(0)) end()
    },
  }
}

type Manual = ReturnType<typeof manualWork>

async function start(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const manual = manualWork()
  const app = await startApp(t, {
    database,
    passwordWork: manual.work,
    environment: { TRUSTED_PROXIES: 'loopback', LOGIN_FAILURE_LIMIT: '100000', ...environment },
  })
  return { app, manual }
}

const member = async (database: TestDatabase): Promise<Member> => ({
  ...(await aUser(database, { password: PASSWORD })),
  password: PASSWORD,
})

/** A browser at an address. */
async function browserAt(app: TestApp, address: string): Promise<TestBrowser> {
  const browser = new TestBrowser(app, { referer: `${SPA}/`, 'x-forwarded-for': address })
  await browser.get('/sanctum/csrf-cookie')
  return browser
}

/** How many requests wait for their turn, in one lane or in both. */
async function waitingIn(app: TestApp, lane = '.*'): Promise<number> {
  // Not by HTTP: it is asked so often that the ceiling of an address would be reached.
  const text = await app.metrics.registry.getSingleMetricAsString('passwords_waiting')
  const values = [...text.matchAll(new RegExp(`^passwords_waiting\\{lane="${lane}"\\} (\\d+)$`, 'gm'))]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

const settled = () => new Promise(setImmediate)

const waits = (app: TestApp, lane: 'known' | 'stranger', count: number) =>
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
  manual: Manual,
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
  manual: Manual,
  { lane, password }: { lane: 'known' | 'stranger'; password: string },
  request: () => Promise<Answer>,
) {
  const [waiting, from] = [await waitingIn(app, lane), manual.started.length]
  const answer = request()
  await until(async () => (await waitingIn(app, lane)) > waiting)
  return { answer, turns: await turnsUntil(manual, password, from) }
}

/** Ends turns until one of a password begins, and returns how many others began before. */
async function turnsUntil(manual: Manual, password: string, from = manual.started.length): Promise<number> {
  while (!manual.started.includes(password, from)) {
    manual.endTurn()
    await settled()
  }
  return manual.started.indexOf(password, from) - from
}

/** Ends the turn of a password, and returns the answer to its request. */
function answered(manual: Manual, password: string, answer: Promise<Answer>): Promise<Answer> {
  manual.endTurnOf(password)
  return answer
}

async function floods(t: Test, database: TestDatabase) {
  const victim = await member(database)
  const manyAccounts = Array.from({ length: 8 * PER_ADDRESS }, (_, n) => `nobody-${n}@example.org`)

  for (const [count, waiting] of [
    [8, 8 * PLACES_PER_NETWORK],
    [60, PLACES],
  ] as const) {
    for (const [target, emails] of [
      ['one account', [victim.email]],
      ['many accounts', manyAccounts],
    ] as const) {
      await t.test(`${count} addresses flood ${target}`, async t => {
        const { app, manual } = await start(t, database)
        const user = target === 'one account' ? victim : await member(database)
        const atHome = await browserAt(app, HOME)
        t.equal((await atHome.post('/login', user)).status, 200)
        const inSession = atHome.clone()

        manual.hold()
        const attack = await flood(app, manual, { addresses: addressesOf(count), emails: [...emails] })
        t.equal(await waitingIn(app), waiting)
        t.ok(
          attack.answers.every(
            ({ status, headers }) => status === 503 && Number(headers['retry-after']) >= 1,
          ),
          'who gets no place is told when to come again',
        )

        const again = await browserAt(app, HOME)
        const known = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
          again.post('/login', user),
        )
        t.ok(known.turns <= 1, `a known address waits for ${known.turns} turns`)
        t.equal((await answered(manual, PASSWORD, known.answer)).status, 200)

        const confirming = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
          inSession.post('/user/confirm-password', { password: PASSWORD }),
        )
        t.ok(confirming.turns <= 1, `a session waits for ${confirming.turns} turns`)
        t.equal((await answered(manual, PASSWORD, confirming.answer)).status, 201)

        const elsewhere = await browserAt(app, ELSEWHERE)
        const fresh = await turnOf(app, manual, { lane: 'stranger', password: PASSWORD }, async () =>
          elsewhere.post('/login', await member(database)),
        )
        t.ok(fresh.turns < count, `an address without a history waits for ${fresh.turns} turns`)
        t.equal((await answered(manual, PASSWORD, fresh.answer)).status, 200)
        manual.release()
        await attack.over
      })
    }
  }

  await t.test('an address without a turn yet goes before those that flood', async t => {
    const { app, manual } = await start(t, database)
    manual.hold()
    const addresses = addressesOf(8)
    const attack = await flood(app, manual, { addresses, emails: manyAccounts })
    while (manual.started.length < 2 * addresses.length) {
      manual.endTurn()
      await settled()
    }
    const browser = await browserAt(app, ELSEWHERE)
    const { answer, turns } = await turnOf(app, manual, { lane: 'stranger', password: PASSWORD }, () =>
      browser.post('/login', victim),
    )
    t.equal(turns, 0)
    t.equal((await answered(manual, PASSWORD, answer)).status, 200)
    manual.release()
    await attack.over
  })

  await t.test('a session changes its password during a flood', async t => {
    const { app, manual } = await start(t, database)
    const browser = await browserAt(app, HOME)
    t.equal((await browser.post('/login', await member(database))).status, 200)
    manual.hold()
    const attack = await flood(app, manual, { addresses: addressesOf(60), emails: manyAccounts })
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    const { answer, turns } = await turnOf(app, manual, { lane: 'known', password: PASSWORD }, () =>
      browser.send('PUT', '/user/password', { payload }),
    )
    t.ok(turns <= 1)
    manual.endTurnOf(PASSWORD)
    await waits(app, 'known', 1)
    const between = await turnsUntil(manual, NEW)
    t.ok(between <= 1, `the new password waits for ${between} turns`)
    t.equal((await answered(manual, NEW, answer)).status, 200)
    manual.release()
    await attack.over
  })

  await t.test('a mail with a reset token is as good as a known address', async t => {
    const { app, manual } = await start(t, database)
    const user = await member(database)
    const browser = await browserAt(app, ELSEWHERE)
    await browser.post('/forgot-password', { email: user.email })
    const token = linkIn(await app.mailbox.next()).searchParams.get('token') ?? ''
    manual.hold()
    const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
    const { answer } = await turnOf(app, manual, { lane: 'stranger', password: token }, () =>
      browser.post('/reset-password', {
        token,
        email: user.email,
        password: NEW,
        password_confirmation: NEW,
      }),
    )
    manual.endTurnOf(token)
    await waits(app, 'known', 1)
    const between = await turnsUntil(manual, NEW)
    t.ok(between <= 1, `the new password waits for ${between} turns`)
    t.equal((await answered(manual, NEW, answer)).status, 200)
    manual.release()
    await attack.over
  })

  await t.test('a network holds four places', async t => {
    const { app, manual } = await start(t, database, { LOCAL_IPS: '192.0.2.0/24' })
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
        const email = `somebody-${n}@example.org`
        void browser.post('/login', { email, password: WRONG }).then(answer => answers.push(answer))
      }
      await until(async () => (await waitingIn(app)) + answers.length === before + 6)
      t.equal((await waitingIn(app)) - before, places, name)
      t.ok(
        answers.every(({ status }) => status === 503),
        `${name}: others are refused at once`,
      )
      before = await waitingIn(app)
    }
    manual.release()
    await attack.over
  })

  await t.test('a login waits for five seconds, and costs nothing then', async t => {
    const { app, manual } = await start(t, database, { LOGIN_FAILURE_LIMIT: '1' })
    const user = await member(database)
    manual.hold()
    const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
    const browser = await browserAt(app, ELSEWHERE)
    const pending = browser.post('/login', { ...user, password: WRONG })
    await waits(app, 'stranger', 8 * PLACES_PER_NETWORK + 1)
    app.clock.advance(DEADLINE - 1)
    t.not(await waitingIn(app), 0)
    app.clock.advance(1)
    const answer = await pending
    t.equal(answer.status, 503)
    t.strictSame(answer.json, { message: 'Service Unavailable' })
    t.equal(answer.headers['retry-after'], '5')
    t.equal(await waitingIn(app), 0, 'all others that waited are refused as well')
    t.strictSame(
      app.logged.filter(({ level }) => Number(level) >= 50),
      [],
      'which is no error of the server',
    )
    t.match((await send(app, 'GET', '/metrics')).text, 'password_refusals_total{reason="deadline"} 33')
    manual.release()
    await attack.over
    t.equal((await browser.post('/login', user)).status, 200, 'no wrong password was counted')
  })

  await t.test('a caller that hung up is not heard', async t => {
    const { app, manual } = await start(t, database)
    const user = await member(database)
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
    await waits(app, 'stranger', 8 * PLACES_PER_NETWORK + 1)
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

  await t.test('a weak hash is replaced by a later login when there is no turn for it', async t => {
    const { app, manual } = await start(t, database, { HASH_ROUNDS: '5' })
    const user = await member(database)
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
    await waits(app, 'known', 1)
    app.clock.advance(DEADLINE)
    t.equal((await answer).status, 200)
    t.equal(await hashOf(), '$2y$04')
    manual.release()
    await attack.over
    t.equal((await browserAt(app, ELSEWHERE).then(again => again.post('/login', user))).status, 200)
    t.equal(await hashOf(), '$2y$05')
  })

  await t.test('nobody asks where a user logged in before while there is no queue', async t => {
    const { app, manual } = await start(t, database)
    const browser = await browserAt(app, HOME)
    const asked = () =>
      database.statements.filter(text => /^select .*from "login_addresses"/.test(text)).length
    const before = asked()
    t.equal((await browser.post('/login', victim)).status, 200)
    t.equal(asked(), before)
    manual.hold()
    const attack = await flood(app, manual, { addresses: addressesOf(8), emails: manyAccounts })
    t.ok(asked() > before, 'and then it is asked for accounts that do not exist, too')
    manual.release()
    await attack.over
  })

  await t.test('work that is lost is 503 as well, and counts as no wrong password', async t => {
    const user = await member(database)
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
}
