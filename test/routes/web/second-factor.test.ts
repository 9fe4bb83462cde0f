import { createCipheriv, createHmac } from 'node:crypto'
import t, { type Test } from 'tap'
import { SPA, TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { totpCode } from '../../fixtures/second-factor.ts'
import { aMember, aToken, aUser, PASSWORD } from '../../fixtures/users.ts'
import { get, send, startApp, TEST_KEY, type TestApp } from '../../support/app.ts'
import { createDatabase, ENGINES, type TestDatabase } from '../../support/databases.ts'

const STEP = 30_000
const UNLIMITED = {
  LOGIN_RATE_LIMIT: '1000',
  CONFIRM_PASSWORD_RATE_LIMIT: '1000',
  TWO_FACTOR_RATE_LIMIT: '1000',
  RATE_LIMIT_ANONYMOUS: '1000',
  RATE_LIMIT_AUTHENTICATED: '1000',
  MAIL_SECURITY_EVENTS: 'second-factor-off',
}
const WRONG_CODE = { code: ['The provided two factor authentication code was invalid.'] }
const WRONG_RECOVERY_CODE = { recovery_code: ['The provided two factor recovery code was invalid.'] }

for (const engine of ENGINES) {
  t.test(`the second factor on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await enabling(t, database)
    await challenge(t, database)
    await fromLaravel(t, database)
  })
  t.test(`remembered devices on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    await devices(t, database)
  })
}

/** Somebody who is logged in, and has confirmed the password. */
async function confirmed(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
  const user = await aMember(database)
  const browser = new TestBrowser(app)
  await browser.logIn(user)
  await browser.post('/user/confirm-password', { password: PASSWORD })
  return { app, user, browser }
}

/** The same with a second factor, whose secret and recovery codes are known. */
async function enabled(t: Test, database: TestDatabase, environment: Record<string, string> = {}) {
  const context = await confirmed(t, database, environment)
  const { app, browser } = context
  await browser.post('/user/two-factor-authentication')
  const secret: string = (await browser.get('/user/two-factor-secret-key')).json.secretKey
  const codes: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
  const answer = await browser.post('/user/confirmed-two-factor-authentication', {
    code: totpCode(secret, app),
  })
  t.equal(answer.status, 200)
  app.clock.advance(2 * STEP)
  return { ...context, secret, codes }
}

/** A browser that has entered the password, and is asked for the second factor. */
async function challenged(app: TestApp, user: { email: string; password: string }, remember = false) {
  const browser = new TestBrowser(app)
  await browser.get('/sanctum/csrf-cookie')
  await browser.post('/login', { email: user.email, password: user.password, remember })
  return browser
}

const answerWith = (browser: TestBrowser, payload: object) => browser.post('/two-factor-challenge', payload)

const row = ({ kysely }: TestDatabase, id: number) =>
  kysely.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

async function enabling(t: Test, database: TestDatabase) {
  await t.test('is made, shown, confirmed, and from then on asked for', async t => {
    const { app, user, browser } = await confirmed(t, database)
    t.strictSame((await browser.get('/user/two-factor-qr-code')).json, [])
    t.strictSame((await browser.get('/user/two-factor-recovery-codes')).json, [])
    const none = await browser.get('/user/two-factor-secret-key')
    t.equal(none.status, 404)
    t.strictSame(none.json, { message: 'Two factor authentication has not been enabled.' })

    const answer = await browser.post('/user/two-factor-authentication')
    t.equal(answer.status, 200)
    t.equal(answer.text, '""')
    const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
    t.match(secretKey, /^[A-Z2-7]{32}$/)
    const { svg, url } = (await browser.get('/user/two-factor-qr-code')).json
    t.match(svg, /^<svg width="192" height="192" [^>]*viewBox/)
    t.notMatch(svg, /<script|href/)
    t.equal(
      url,
      `otpauth://totp/AnimeThemes:${encodeURIComponent(user.email)}?issuer=AnimeThemes&secret=${secretKey}&algorithm=SHA1&digits=6&period=30`,
    )
    const codes: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
    t.equal(codes.length, 8)
    const stored = await row(database, user.id)
    t.notOk(stored.two_factor_secret?.includes(secretKey))
    t.equal(stored.two_factor_confirmed_at, null)
    t.strictSame(
      (await (await challenged(app, user)).get('/api/me')).status,
      200,
      'nobody is asked for it yet',
    )

    const confirm = (code: unknown) => browser.post('/user/confirmed-two-factor-authentication', { code })
    for (const code of ['000000', '', null, codes[0]]) {
      const wrong = await confirm(code)
      t.equal(wrong.status, 422)
      t.strictSame(wrong.json.errors, WRONG_CODE)
    }
    t.equal((await confirm(123456)).status, 422)
    const right = await confirm(totpCode(secretKey, app))
    t.equal(right.status, 200)
    t.equal(right.text, '""')
    t.equal((await browser.get('/api/me')).json.user.two_factor_confirmed_at, '2026-03-01 12:00:00')
    t.equal((await (await challenged(app, user)).get('/api/me')).status, 401)

    const { two_factor_secret } = await row(database, user.id)
    await browser.post('/user/two-factor-authentication')
    t.equal((await row(database, user.id)).two_factor_secret, two_factor_secret, 'it stays')
    t.equal((await browser.get('/user/two-factor-secret-key')).status, 404, 'and is shown no more')
    t.strictSame((await browser.get('/user/two-factor-qr-code')).json, [])
    const logged = JSON.stringify(app.logged)
    for (const secret of [secretKey, ...codes]) t.notOk(logged.includes(secret))
    for (const event of [
      'second factor enabled',
      'second factor confirmed',
      'wrong code',
      'recovery codes shown',
    ]) {
      t.match(
        app.logged.find(({ msg }) => msg === event),
        { userId: user.id, address: '127.0.0.1' },
        event,
      )
    }
  })

  await t.test('can be made anew, and has to be confirmed then', async t => {
    const { app, user, browser, secret, codes } = await enabled(t, database)
    await browser.post('/user/two-factor-authentication', { force: true, code: totpCode(secret, app) })
    const anew = (await browser.get('/user/two-factor-secret-key')).json.secretKey
    t.not(anew, secret)
    t.notOk(
      (await browser.get('/user/two-factor-recovery-codes')).json.some((code: string) =>
        codes.includes(code),
      ),
    )
    t.equal((await browser.get('/api/me')).json.user.two_factor_confirmed_at, null)
    t.match((await app.mailbox.next()).subject, /Two-factor authentication .* is off/)
    t.equal((await (await challenged(app, user)).get('/api/me')).status, 200)
    const code = totpCode(anew, app)
    t.equal((await browser.post('/user/confirmed-two-factor-authentication', { code })).status, 200)
  })

  await t.test('can be taken away, of which a mail tells', async t => {
    const { app, user, browser, secret } = await enabled(t, database)
    const payload = { code: totpCode(secret, app) }
    const answer = await browser.send('DELETE', '/user/two-factor-authentication', { payload })
    t.equal(answer.status, 200)
    t.equal(answer.text, '""')
    t.match(await row(database, user.id), {
      two_factor_secret: null,
      two_factor_recovery_codes: null,
      two_factor_confirmed_at: null,
    })
    t.equal((await (await challenged(app, user)).get('/api/me')).status, 200)
    t.strictSame((await app.mailbox.next()).to, { name: user.name, address: user.email })
    t.equal(
      (await browser.send('DELETE', '/user/two-factor-authentication')).status,
      200,
      'once more is no fault',
    )
    t.equal(app.mailbox.mails.length, 1)
  })

  await t.test('42 only for who has just confirmed the password, in this very session', async t => {
    const { app, user, browser } = await confirmed(t, database)
    const other = new TestBrowser(app)
    await other.logIn(user)
    const routes: [method: string, url: string][] = [
      ['POST', '/user/two-factor-authentication'],
      ['DELETE', '/user/two-factor-authentication'],
      ['POST', '/user/confirmed-two-factor-authentication'],
      ['GET', '/user/two-factor-qr-code'],
      ['GET', '/user/two-factor-secret-key'],
      ['GET', '/user/two-factor-recovery-codes'],
      ['POST', '/user/two-factor-recovery-codes'],
    ]
    await browser.post('/user/two-factor-authentication')
    const before = await row(database, user.id)
    const headers = { authorization: `Bearer ${user.token}`, 'sec-fetch-site': 'same-origin' }
    for (const [method, url] of routes) {
      const refused = await other.send(method, url)
      t.equal(refused.status, 423, `${method} ${url}`)
      t.strictSame(refused.json, { message: 'Password confirmation required.' })
      t.equal((await send(app, method, url, { headers })).status, 401, 'not by a token')
      t.equal(
        (await new TestBrowser(app).bare(method, url, { headers: { 'sec-fetch-site': 'same-origin' } }))
          .status,
        401,
      )
      if (method !== 'GET')
        t.equal((await browser.bare(method, url)).status, 419, 'not by a page of somebody else')
    }
    t.strictSame(await row(database, user.id), before)
    app.clock.advance(181 * MINUTE)
    t.equal((await browser.get('/user/two-factor-secret-key')).status, 401)
  })

  await t.test('recovery codes can be made anew', async t => {
    const { app, user, browser, secret, codes } = await enabled(t, database)
    const code = totpCode(secret, app)
    t.equal((await browser.post('/user/two-factor-recovery-codes', { code })).status, 200)
    const anew: string[] = (await browser.get('/user/two-factor-recovery-codes')).json
    t.equal(new Set([...codes, ...anew]).size, 16)
    const pending = await challenged(app, user)
    t.equal((await answerWith(pending, { recovery_code: codes[0] })).status, 422)
    t.equal((await answerWith(pending, { recovery_code: anew[7] })).status, 204)
  })
}

async function challenge(t: Test, database: TestDatabase) {
  await t.test('a code opens what the password alone does not', async t => {
    const { app, user, secret } = await enabled(t, database)
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const anonymous = browser.sessionId
    const login = await browser.post('/login', user)
    t.equal(login.status, 200)
    t.strictSame(login.json, { two_factor: true })
    const pending = browser.sessionId
    t.not(pending, anonymous, '1 the session is another one')
    const stolen = browser.clone()

    const answer = await answerWith(browser, { code: totpCode(secret, app) })
    t.equal(answer.status, 204)
    t.equal(answer.text, '')
    t.not(browser.sessionId, pending, '1 and once more')
    t.equal((await browser.get('/api/me')).json.user.id, user.id)
    t.equal((await stolen.get('/api/me')).status, 401, 'the one before is over')
    t.equal((await answerWith(stolen, { code: totpCode(secret, app, 1) })).status, 419)
    t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), {
      userId: user.id,
      cause: 'code',
      remember: false,
    })
    t.equal((await browser.get('/user/two-factor-secret-key')).status, 423, 'a login confirms no password')
  })

  await t.test('21 only the right password tells that there is one', async t => {
    const { app, user } = await enabled(t, database)
    const plain = await aUser(database, { password: PASSWORD })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const answers = []
    for (const email of [user.email, plain.email, 'nobody@example.org']) {
      answers.push((await browser.post('/login', { email, password: 'wrong' })).text)
    }
    t.equal(new Set(answers).size, 1)
    t.match(answers[0], /These credentials do not match our records/)
  })

  await t.test('41 who owes the second factor can do nothing else', async t => {
    const { app, user } = await enabled(t, database)
    const browser = await challenged(app, user)
    const routes: [method: string, url: string][] = [
      ['GET', '/api/me'],
      ['GET', '/api/me/playlist'],
      ['GET', '/api/me/externalprofile'],
      ['GET', '/api/me/notification'],
      ['PUT', '/api/me/notification/readall'],
      ['POST', '/logout'],
      ['DELETE', '/user'],
      ['PUT', '/user/password'],
      ['PUT', '/user/profile-information'],
      ['POST', '/user/confirm-password'],
      ['GET', '/user/confirmed-password-status'],
      ['POST', '/email/verification-notification'],
      ['GET', `/email/verify/${user.id}/x`],
      ['POST', '/user/two-factor-authentication'],
      ['DELETE', '/user/two-factor-authentication'],
      ['GET', '/user/two-factor-recovery-codes'],
      ['GET', '/user/two-factor-secret-key'],
    ]
    for (const [method, url] of routes) {
      t.equal(
        (await browser.send(method, url, { payload: { password: PASSWORD } })).status,
        401,
        `${method} ${url}`,
      )
    }
    t.equal((await browser.post('/register', {})).status, 422, 'for it is nobody still')
  })

  await t.test('23 a code counts once, and so do those before it', async t => {
    const { app, user, secret } = await enabled(t, database)
    const [before, now] = [totpCode(secret, app, -1), totpCode(secret, app)]
    t.equal((await answerWith(await challenged(app, user), { code: now })).status, 204)
    const again = await answerWith(await challenged(app, user), { code: now })
    t.equal(again.status, 422)
    t.strictSame(again.json.errors, WRONG_CODE)
    t.equal((await answerWith(await challenged(app, user), { code: before })).status, 422)
    app.clock.advance(STEP)
    t.equal((await answerWith(await challenged(app, user), { code: now })).status, 422)
    t.equal((await answerWith(await challenged(app, user), { code: totpCode(secret, app) })).status, 204)
  })

  await t.test('23 of those who enter it at the same time, one gets in', async t => {
    const { app, user, secret } = await enabled(t, database)
    const browsers = await Promise.all(Array.from({ length: 5 }, () => challenged(app, user)))
    const code = totpCode(secret, app)
    const answers = await Promise.all(browsers.map(browser => answerWith(browser, { code })))
    t.strictSame(answers.map(({ status }) => status).sort(), [204, 422, 422, 422, 422])
  })

  await t.test('23 the same code of somebody else is another one', async t => {
    const first = await enabled(t, database)
    const second = await enabled(t, database)
    const { two_factor_secret } = await row(database, first.user.id)
    await database.kysely
      .updateTable('users')
      .set({ two_factor_secret })
      .where('id', '=', second.user.id)
      .execute()
    const code = totpCode(first.secret, first.app)
    t.equal((await answerWith(await challenged(first.app, first.user), { code })).status, 204)
    t.equal((await answerWith(await challenged(first.app, second.user), { code })).status, 204)
  })

  await t.test('23 a clock may be off by one step', async t => {
    const { app, user, secret } = await enabled(t, database)
    for (const steps of [-3, -2, 2, 3]) {
      t.equal(
        (await answerWith(await challenged(app, user), { code: totpCode(secret, app, steps) })).status,
        422,
      )
    }
    app.clock.advance(2 * STEP)
    for (const steps of [-1, 0, 1]) {
      t.equal(
        (await answerWith(await challenged(app, user), { code: totpCode(secret, app, steps) })).status,
        204,
      )
    }
  })

  await t.test('a recovery code counts once, and another one takes its place', async t => {
    const { app, user, browser: owner, codes } = await enabled(t, database)
    const code = codes[3] ?? ''
    const right = await challenged(app, user)
    t.equal((await answerWith(right, { recovery_code: code, code: '' })).status, 204)
    t.equal((await right.get('/api/me')).status, 200)
    const left: string[] = (await owner.get('/user/two-factor-recovery-codes')).json
    t.equal(left.length, 8)
    t.strictSame(left.toSpliced(3, 1), codes.toSpliced(3, 1))
    const again = await answerWith(await challenged(app, user), { recovery_code: code })
    t.equal(again.status, 422)
    t.strictSame(again.json.errors, WRONG_RECOVERY_CODE)
    t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), { cause: 'recovery code' })
  })

  await t.test('23 at the same time, too', async t => {
    const { app, user, codes, browser: owner } = await enabled(t, database)
    const enter = async (codes: (string | undefined)[]) => {
      const browsers = await Promise.all(codes.map(() => challenged(app, user)))
      const answers = await Promise.all(
        browsers.map((browser, index) => answerWith(browser, { recovery_code: codes[index] })),
      )
      return answers.map(({ status }) => status).sort()
    }
    t.strictSame(await enter(Array.from({ length: 5 }, () => codes[0])), [204, 422, 422, 422, 422])
    t.strictSame(await enter(codes.slice(1, 5)), [204, 204, 204, 204], 'and different ones are all spent')
    const left: string[] = (await owner.get('/user/two-factor-recovery-codes')).json
    t.strictSame(
      left.filter(code => codes.includes(code)),
      codes.slice(5),
    )
  })

  await t.test('what is no code is wrong, and nothing worse', async t => {
    const { app, user } = await enabled(t, database)
    const browser = await challenged(app, user)
    const cases: [payload: object, errors: object][] = [
      [{}, WRONG_CODE],
      [{ code: '' }, WRONG_CODE],
      [{ code: null, recovery_code: null }, WRONG_CODE],
      [{ code: '12345' }, WRONG_CODE],
      [{ code: '１２３４５６' }, WRONG_CODE],
      [{ code: 'é23456' }, WRONG_CODE],
      [{ code: '\0'.repeat(6) }, WRONG_CODE],
      [{ recovery_code: 'x' }, WRONG_RECOVERY_CODE],
      [{ recovery_code: '\0' }, WRONG_RECOVERY_CODE],
      [{ recovery_code: 'x'.repeat(60_000) }, WRONG_RECOVERY_CODE],
      [{ code: ['123456'] }, { code: ['The code must be a string.'] }],
      [{ recovery_code: { length: 21 } }, { recovery_code: ['The recovery code must be a string.'] }],
      [{ code: 123456 }, { code: ['The code must be a string.'] }],
    ]
    for (const [payload, errors] of cases) {
      const { status, json } = await answerWith(browser, payload)
      t.equal(status, 422, JSON.stringify(payload).slice(0, 60))
      t.strictSame(json.errors, errors)
    }
  })

  await t.test('22 without a password before it, it is wrong as well, and limited', async t => {
    const { app, secret } = await enabled(t, database, { TWO_FACTOR_RATE_LIMIT: '3' })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) {
      const { status, json } = await answerWith(browser, { code: totpCode(secret, app) })
      if (status === 422) t.strictSame(json.errors, WRONG_CODE)
      statuses.push(status)
    }
    t.strictSame(statuses, [422, 422, 422, 429])
  })

  await t.test('who waits too long begins again', async t => {
    const { app, user, secret } = await enabled(t, database)
    const [late, inTime] = [await challenged(app, user), await challenged(app, user)]
    app.clock.advance(10 * MINUTE)
    t.equal((await answerWith(inTime, { code: totpCode(secret, app) })).status, 204)
    app.clock.advance(STEP)
    t.equal((await answerWith(late, { code: totpCode(secret, app) })).status, 422)
  })

  await t.test('nor does it count after the password was changed, or the account deleted', async t => {
    const { app, user, browser: owner, secret } = await enabled(t, database)
    const pending = await challenged(app, user)
    const NEW = 'Another-horse-2'
    await owner.send('PUT', '/user/password', {
      payload: { current_password: PASSWORD, password: NEW, password_confirmation: NEW },
    })
    t.equal((await answerWith(pending, { code: totpCode(secret, app) })).status, 422)
    const other = await challenged(app, { ...user, password: NEW })
    await owner.send('DELETE', '/user')
    t.equal((await answerWith(other, { code: totpCode(secret, app) })).status, 422)
  })

  await t.test('22 guessing is limited: for the account, from everywhere together', async t => {
    const { app, user, secret } = await enabled(t, database, {
      TWO_FACTOR_RATE_LIMIT: '3',
      TRUSTED_PROXIES: 'loopback',
    })
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const guess = async (address: string, code: string) => {
      const browser = new TestBrowser(app)
      browser.page = { ...browser.page, ...from(address) }
      await browser.logIn(user)
      return (await answerWith(browser, { code })).status
    }
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) statuses.push(await guess('192.0.2.1', '000000'))
    t.strictSame(statuses, [422, 422, 422, 429], 'three a minute')
    for (let n = 0; n < 9; n += 1) statuses.push(await guess(`198.51.100.${n}`, '000000'))
    t.strictSame(
      statuses.slice(4),
      Array.from({ length: 9 }, () => 422),
    )
    t.equal(await guess('203.0.113.1', totpCode(secret, app)), 429, 'twelve wrong ones an hour')
    t.equal(await guess('127.0.0.1', totpCode(secret, app)), 429, 'wherever the user logged in before')
    app.clock.advance(60 * MINUTE)
    t.equal(await guess('203.0.113.1', totpCode(secret, app)), 204)
  })

  await t.test('tokens go on, as what was given with the second factor in hand', async t => {
    const { app, user } = await enabled(t, database)
    const { token } = await aToken(database, user.id)
    t.equal((await get(app, '/api/me', token)).status, 200)
  })
}

async function fromLaravel(t: Test, database: TestDatabase) {
  const SECRET = 'JBSWY3DPEHPK3PXP'
  const CODES = ['aB3dE6gH9j-K1lM2nO3pQ', 'zY8xW7vU6t-S5rQ4pO3nM']

  /** A text as Laravel's `encrypt()` stores it, made from the description of the format. */
  function laravelEncrypt(text: string, key = TEST_KEY) {
    const bytes = Buffer.from(key.replace('base64:', ''), 'base64')
    const iv = Buffer.alloc(16, 3)
    const cipher = createCipheriv('aes-256-cbc', bytes, iv)
    const serialized = `s:${Buffer.byteLength(text)}:"${text}";`
    const value = Buffer.concat([cipher.update(serialized), cipher.final()]).toString('base64')
    const mac = createHmac('sha256', bytes)
      .update(iv.toString('base64') + value)
      .digest('hex')
    return Buffer.from(JSON.stringify({ iv: iv.toString('base64'), value, mac, tag: '' })).toString('base64')
  }
  const written = async (key?: string) => {
    const user = await aMember(database)
    await database.kysely
      .updateTable('users')
      .set({
        two_factor_secret: laravelEncrypt(SECRET, key),
        two_factor_recovery_codes: laravelEncrypt(JSON.stringify(CODES), key),
        two_factor_confirmed_at: '2025-06-01 00:00:00',
      })
      .where('id', '=', user.id)
      .execute()
    return user
  }
  /** What Laravel would read of it. */
  const laravelDecrypt = async (payload: string | null) => {
    const { encryption } = await import('#src/auth/encryption.ts')
    return encryption([Buffer.from(TEST_KEY.slice(7), 'base64')], () => Buffer.alloc(16)).decrypt(
      payload ?? '',
    )
  }

  await t.test("Laravel's second factor goes on: by a code, and by a recovery code", async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await written()
    t.equal((await answerWith(await challenged(app, user), { code: totpCode(SECRET, app) })).status, 204)
    t.equal((await answerWith(await challenged(app, user), { recovery_code: CODES[1] })).status, 204)
    t.equal((await answerWith(await challenged(app, user), { recovery_code: CODES[1] })).status, 422)
    const stored = await row(database, user.id)
    t.equal(stored.two_factor_secret, laravelEncrypt(SECRET))
    const codes = JSON.parse((await laravelDecrypt(stored.two_factor_recovery_codes)) ?? '')
    t.equal(codes[0], CODES[0], 'what is written back is what Laravel reads')
    t.match(codes[1], /^[A-Za-z0-9]{10}-[A-Za-z0-9]{10}$/)
    const owner = await challenged(app, user)
    app.clock.advance(STEP)
    await answerWith(owner, { code: totpCode(SECRET, app) })
    await owner.post('/user/confirm-password', { password: PASSWORD })
    const code = totpCode(SECRET, app, 1)
    t.strictSame((await owner.get(`/user/two-factor-recovery-codes?code=${code}`)).json, codes)
  })

  await t.test('with a previous key, too', async t => {
    const old = `base64:${Buffer.alloc(32, 'an old key').toString('base64')}`
    const user = await written(old)
    const without = await startApp(t, { database, environment: UNLIMITED })
    for (const payload of [{ code: totpCode(SECRET, without) }, { recovery_code: CODES[0] }]) {
      t.equal(
        (await answerWith(await challenged(without, user), payload)).status,
        422,
        'without it nobody gets in',
      )
    }
    t.match(
      without.logged.find(({ msg }) => /APP_PREVIOUS_KEYS/.test(String(msg))),
      { level: 50, userId: user.id },
    )
    const app = await startApp(t, { database, environment: { ...UNLIMITED, APP_PREVIOUS_KEYS: old } })
    t.equal((await answerWith(await challenged(app, user), { code: totpCode(SECRET, app) })).status, 204)
    t.equal((await answerWith(await challenged(app, user), { recovery_code: CODES[0] })).status, 204)
  })

  await t.test('11 what is no envelope lets nobody in, and is no error', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await written()
    const whole = JSON.parse(Buffer.from(laravelEncrypt(SECRET), 'base64').toString())
    const pack = (envelope: unknown) => Buffer.from(JSON.stringify(envelope)).toString('base64')
    for (const payload of [
      '',
      'rubbish',
      SECRET,
      pack({ ...whole, mac: null }),
      pack({ ...whole, mac: '0'.repeat(64) }),
      pack({ ...whole, iv: 'AAAA' }),
      pack({ ...whole, tag: 'AAAA' }),
      laravelEncrypt(SECRET).slice(0, 40),
      laravelEncrypt('not base32!'),
      laravelEncrypt(''),
    ]) {
      await database.kysely
        .updateTable('users')
        .set({ two_factor_secret: payload, two_factor_recovery_codes: payload })
        .where('id', '=', user.id)
        .execute()
      for (const answer of [{ code: '123456' }, { recovery_code: '' }, { recovery_code: 'x' }]) {
        t.equal((await answerWith(await challenged(app, user), answer)).status, 422, payload.slice(0, 40))
      }
    }
  })
}

async function devices(t: Test, database: TestDatabase) {
  const COOKIE = 'remember_web'
  const remembered = async (t: Test, environment: Record<string, string> = {}) => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, ...environment } })
    const user = await aMember(database)
    return { app, user, browser: await logIn(app, user) }
  }
  const logIn = async (app: TestApp, user: { email: string; password: string }, remember: unknown = true) => {
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    t.equal((await browser.post('/login', { ...user, remember })).status, 200)
    return browser
  }
  /** The browser on another day: its session's cookies are gone. */
  const later = (browser: TestBrowser) => {
    const other = browser.clone()
    other.cookies.delete('animethemes_session')
    other.cookies.delete('XSRF-TOKEN')
    return other
  }
  const isIn = async (browser: TestBrowser) => (await browser.get('/api/me')).status === 200
  const rows = (userId: number) =>
    database.kysely.selectFrom('remembered_devices').selectAll().where('user_id', '=', userId).execute()

  /** Has a browser show its new token, and waits until that is stored. */
  const shown = async (userId: number, browser: TestBrowser) => {
    t.ok(await isIn(browser))
    while (!(await rows(userId)).some(device => device.is_delivered)) await new Promise(setImmediate)
  }

  await t.test('a browser stays logged in beyond its session, with another token each time', async t => {
    const { app, user, browser } = await remembered(t)
    const token = browser.cookies.get(COOKIE) ?? ''
    t.match(token, /^[\w-]{22}\.[\w-]{43}$/)
    const [stored] = await rows(user.id)
    t.notOk(JSON.stringify(stored).includes(token.split('.')[1] ?? '?'), 'what is stored opens nothing')
    t.match(stored, { ip_address: '127.0.0.1', expires_at: '2027-04-05 12:00:00' })

    app.clock.advance(121 * MINUTE)
    const answer = await browser.get('/api/me')
    t.equal(answer.json.user.id, user.id)
    const cookie = answer.setCookies.find(line => line.startsWith(COOKIE)) ?? ''
    t.match(
      cookie,
      /; Max-Age=34552740; Path=\/; Expires=Mon, 05 Apr 2027 12:00:00 GMT; HttpOnly; SameSite=Lax$/,
    )
    const next = browser.cookies.get(COOKIE) ?? ''
    t.not(next, token)
    t.equal(next.split('.')[0], token.split('.')[0])
    t.equal(
      (await browser.send('PUT', '/api/me/notification/readall')).status,
      403,
      'it is a session like any other',
    )
    t.equal((await browser.get('/user/confirmed-password-status')).json.confirmed, false)
    t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), {
      userId: user.id,
      cause: 'remembered device',
    })
    t.notOk(JSON.stringify(app.logged).includes(next.split('.')[1] ?? '?'))
  })

  await t.test('only if that is asked for', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const user = await aMember(database)
    for (const value of [false, 'false', 0, '0', '', null, 'no', [], {}]) {
      t.notOk((await logIn(app, user, value)).cookies.has(COOKIE), JSON.stringify(value))
    }
    for (const value of [true, 'true', 1, '1', 'on', 'yes']) {
      t.ok((await logIn(app, user, value)).cookies.has(COOKIE), JSON.stringify(value))
    }
  })

  await t.test('when registering, too, and after the second factor', async t => {
    const app = await startApp(t, { database, environment: UNLIMITED })
    const browser = new TestBrowser(app)
    await browser.get('/sanctum/csrf-cookie')
    await browser.post('/register', {
      name: 'rememberme',
      email: 'rememberme@example.org',
      password: PASSWORD,
      password_confirmation: PASSWORD,
      terms: true,
      remember: 'on',
    })
    t.ok(await isIn(later(browser)))

    const { app: other, user, secret } = await enabled(t, database)
    const pending = await challenged(other, user, true)
    t.notOk(pending.cookies.has(COOKIE), 'not before it')
    await answerWith(pending, { code: totpCode(secret, other) })
    t.ok(await isIn(later(pending)))
    const forgetful = await challenged(other, user, false)
    other.clock.advance(STEP)
    await answerWith(forgetful, { code: totpCode(secret, other) })
    t.notOk(forgetful.cookies.has(COOKIE))
  })

  await t.test('requests at the same time are all let in, by one rotation', async t => {
    const { user, browser } = await remembered(t)
    const browsers = Array.from({ length: 6 }, () => later(browser))
    const before = browser.cookies.get(COOKIE)
    const answers = await Promise.all(browsers.map(isIn))
    t.ok(answers.every(Boolean))
    const rotated = browsers.filter(one => one.cookies.get(COOKIE) !== before)
    t.equal(rotated.length, 1)
    t.ok(await isIn(later(rotated[0] as TestBrowser)))
    t.equal((await rows(user.id)).length, 1)
  })

  await t.test('a token that was replaced is a stolen one: the device and its sessions are over', async t => {
    const { app, user, browser } = await remembered(t)
    const elsewhere = await logIn(app, user)
    const thief = later(browser)
    t.ok(await isIn(thief), 'the thief comes first')
    await shown(user.id, thief)
    // Its payload is written by the database from then on, with other spaces.
    await thief.post('/user/confirm-password', { password: PASSWORD })
    app.clock.advance(2 * MINUTE)
    const victim = later(browser)
    const answer = await victim.get('/api/me')
    t.equal(answer.status, 401)
    t.notOk(victim.cookies.has(COOKIE), 'its cookie goes')
    t.notOk(await isIn(thief))
    t.notOk(await isIn(later(thief)))
    t.notOk(await isIn(browser), 'so does the session that began with it')
    t.ok(await isIn(elsewhere), 'other browsers go on')
    t.ok(await isIn(later(elsewhere)))
    t.match(
      app.logged.find(({ msg }) => msg === 'device stolen'),
      { userId: user.id },
    )
  })

  await t.test('the same if the victim comes first', async t => {
    const { app, user, browser } = await remembered(t)
    const thief = later(browser)
    const victim = later(browser)
    t.ok(await isIn(victim))
    await shown(user.id, victim)
    app.clock.advance(2 * MINUTE)
    t.notOk(await isIn(thief))
    t.notOk(await isIn(victim))
    t.strictSame(await rows(user.id), [])
  })

  await t.test('a request at the same time acknowledges the token as well', async t => {
    const { app, user, browser } = await remembered(t)
    const [first, second] = [later(browser), later(browser)]
    t.strictSame([await isIn(first), await isIn(second)], [true, true])
    // The second answer came last: its session, and the first one's token.
    second.cookies.set(COOKIE, first.cookies.get(COOKIE) ?? '')
    await shown(user.id, second)
    app.clock.advance(2 * MINUTE)
    t.notOk(await isIn(later(browser)))
  })

  await t.test('a token that never arrived does no harm, and opens nothing', async t => {
    const { app, user, browser } = await remembered(t)
    const lost = later(browser)
    t.ok(await isIn(lost), 'its answer gets lost')
    const inTime = later(browser)
    t.ok(await isIn(inTime), 'a request at the same time goes on')
    app.clock.advance(121 * MINUTE)
    const again = later(browser)
    t.ok(await isIn(again))
    t.not(again.cookies.get(COOKIE), browser.cookies.get(COOKIE), 'with the next token')
    t.notOk(app.logged.find(({ msg }) => msg === 'device stolen'))
    app.clock.advance(2 * MINUTE)
    t.notOk(await isIn(later(lost)), 'and whoever has the lost one has stolen it')
    t.match(
      app.logged.find(({ msg }) => msg === 'device stolen'),
      { userId: user.id },
    )
    t.notOk(await isIn(again))
  })

  await t.test(
    'a session that began with a token that got lost ends when the browser comes again',
    async t => {
      const { app, browser } = await remembered(t)
      const thief = later(browser)
      t.ok(await isIn(thief))
      thief.cookies.delete(COOKIE)
      app.clock.advance(2 * MINUTE)
      t.ok(await isIn(thief), 'who keeps its token to itself')
      const victim = later(browser)
      t.ok(await isIn(victim))
      t.notOk(await isIn(thief))
      t.ok(await isIn(victim))
    },
  )

  await t.test('one device begins twenty sessions a minute at most', async t => {
    const { app, browser, user } = await remembered(t)
    const lost = later(browser)
    await lost.get('/api/nowhere')
    t.equal(lost.cookies.get(COOKIE), browser.cookies.get(COOKIE), 'and none where there is nothing')
    // The session of the login itself is none of them.
    app.clock.advance(2 * MINUTE)
    const statuses: boolean[] = []
    let last = browser
    for (let n = 0; n < 22; n += 1) {
      last = later(last)
      statuses.push(await isIn(last))
    }
    t.strictSame(statuses, [...Array.from({ length: 20 }, () => true), false, false])
    app.clock.advance(MINUTE)
    t.ok(await isIn(later(last)))
    t.equal((await rows(user.id)).length, 1)
  })

  await t.test('what crosses a login takes no cookie from it', async t => {
    const { app, browser, user } = await remembered(t)
    await browser.post('/logout')
    await browser.post('/login', { ...user, remember: true })
    const before = browser.clone()
    await browser.post('/logout')
    await browser.post('/login', { ...user, remember: true })
    const crossed = await before.get('/api/me')
    t.equal(crossed.status, 401)
    t.strictSame(crossed.setCookies, [], 'neither the session nor what remembers the browser')
    app.clock.advance(MINUTE + 1000)
    t.match(
      (await before.get('/api/me')).setCookies.join(),
      `${COOKIE}=;`,
      'it goes once it is nothing but old',
    )
    t.ok(await isIn(later(browser)))
  })

  await t.test('a device that there is not counts for nothing but its address', async t => {
    const app = await startApp(t, { database, environment: { RATE_LIMIT_FAILED_AUTH: '3' } })
    const counted = new Set<string>()
    for (const counters of [app.counters, app.countersOf('failed-auth')]) {
      const { hit } = counters
      counters.hit = (key, windowMs) => {
        counted.add(key)
        return hit(key, windowMs)
      }
    }
    for (let n = 10; n < 30; n += 1) {
      const browser = new TestBrowser(app)
      browser.cookies.set(COOKIE, `${'A'.repeat(20)}${n}.${'A'.repeat(43)}`)
      await browser.get('/sanctum/csrf-cookie')
    }
    t.ok(counted.size > 0 && counted.size < 3, `so that nobody fills the counters: ${[...counted]}`)
  })

  await t.test('whoever logs in takes the place of who was remembered', async t => {
    const { app, browser, user } = await remembered(t)
    const other = await aUser(database, { password: PASSWORD })
    const shared = new TestBrowser(app)
    await shared.get('/sanctum/csrf-cookie')
    shared.cookies.set(COOKIE, browser.cookies.get(COOKIE) ?? '')
    t.equal((await shared.post('/login', { email: other.email, password: PASSWORD })).status, 200)
    t.notOk(shared.cookies.has(COOKIE))
    t.strictSame(await rows(user.id), [])
  })

  await t.test('a cookie that came along twice is one', async t => {
    const { app, browser, user } = await remembered(t)
    const value = browser.cookies.get(COOKIE) ?? ''
    const cookie = `${COOKIE}=${value}; ${COOKIE}=${value}`
    const answer = await get(app, '/api/me', undefined, { referer: `${SPA}/`, cookie })
    t.equal(answer.json.user?.id, user.id)
  })

  await t.test('an address at which a device was known is one that its user logged in from', async t => {
    const { app, browser, user } = await remembered(t, {
      LOGIN_FAILURE_LIMIT: '3',
      TRUSTED_PROXIES: '127.0.0.1',
    })
    const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
    const wandering = later(browser)
    t.equal((await wandering.get('/api/me', from('198.51.100.9'))).status, 200)
    const guess = async (address: string, password: string) => {
      const guesser = new TestBrowser(app)
      await guesser.get('/sanctum/csrf-cookie', from(address))
      return (await guesser.post('/login', { email: user.email, password }, from(address))).status
    }
    for (let n = 0; n < 3; n += 1) t.equal(await guess(`203.0.113.${n}`, 'wrong'), 422)
    t.equal(await guess('203.0.113.99', PASSWORD), 429)
    t.equal(await guess('198.51.100.9', PASSWORD), 200)
  })

  await t.test('guessing devices is limited as guessing tokens is', async t => {
    const app = await startApp(t, { database, environment: { ...UNLIMITED, RATE_LIMIT_FAILED_AUTH: '3' } })
    const statuses: number[] = []
    for (let n = 0; n < 4; n += 1) {
      const browser = new TestBrowser(app)
      browser.cookies.set(COOKIE, `${'A'.repeat(21)}${n}.${'A'.repeat(43)}`)
      statuses.push((await browser.get('/api/me')).status)
    }
    t.strictSame(statuses, [401, 401, 401, 429])
  })

  await t.test('14 a password change forgets all but the browser at hand', async t => {
    const { app, user, browser } = await remembered(t)
    const other = await logIn(app, user)
    const NEW = 'Another-horse-2'
    const payload = { current_password: PASSWORD, password: NEW, password_confirmation: NEW }
    t.equal((await browser.send('PUT', '/user/password', { payload })).status, 200)
    t.equal((await rows(user.id)).length, 1, 'at once, and not when they are used')
    t.ok(await isIn(later(browser)))
    t.notOk(await isIn(other))
    t.notOk(await isIn(later(other)))
    t.equal((await rows(user.id)).length, 1)
  })

  await t.test('14 so does one that came about elsewhere', async t => {
    const { user, browser } = await remembered(t)
    await database.kysely
      .updateTable('users')
      .set({ password: '$2y$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcdef' })
      .where('id', '=', user.id)
      .execute()
    t.notOk(await isIn(later(browser)))
    t.strictSame(await rows(user.id), [])
  })

  await t.test('a stronger hash of the same password forgets nothing', async t => {
    const { user, browser } = await remembered(t)
    const stronger = await startApp(t, { database, environment: { ...UNLIMITED, HASH_ROUNDS: '5' } })
    await logIn(stronger, user, false)
    t.ok(await isIn(later(browser)))
  })

  await t.test('2 logging out forgets the browser, and no other', async t => {
    const { app, user, browser } = await remembered(t)
    const other = await logIn(app, user)
    const copy = later(browser)
    t.equal((await browser.post('/logout')).status, 204)
    t.notOk(browser.cookies.has(COOKIE))
    t.notOk(await isIn(copy))
    t.ok(await isIn(later(other)))
  })

  await t.test('47 deleting the account forgets it everywhere', async t => {
    const { app, user, browser } = await remembered(t)
    const other = await logIn(app, user)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    t.equal((await browser.send('DELETE', '/user')).status, 204)
    t.notOk(browser.cookies.has(COOKIE))
    t.notOk(await isIn(later(other)))
    const third = await remembered(t)
    await database.kysely
      .updateTable('users')
      .set({ deleted_at: '2026-01-01 00:00:00' })
      .where('id', '=', third.user.id)
      .execute()
    t.notOk(await isIn(later(third.browser)), 'whoever deletes it')
    t.strictSame(await rows(third.user.id), [])
  })

  await t.test('a second factor forgets browsers that were remembered without it', async t => {
    const { app, user, browser } = await remembered(t)
    const other = await logIn(app, user)
    await browser.post('/user/confirm-password', { password: PASSWORD })
    await browser.post('/user/two-factor-authentication')
    const { secretKey } = (await browser.get('/user/two-factor-secret-key')).json
    const code = totpCode(secretKey, app)
    t.equal((await browser.post('/user/confirmed-two-factor-authentication', { code })).status, 200)
    t.notOk(await isIn(later(other)))
    t.ok(await isIn(later(browser)))
  })

  await t.test('400 days at most', async t => {
    const { app, browser } = await remembered(t)
    app.clock.advance(399 * 24 * 60 * MINUTE)
    t.ok(await isIn(browser))
    app.clock.advance(24 * 60 * MINUTE)
    t.notOk(await isIn(browser))
    await app.activity.prune()
    t.strictSame(
      await database.kysely
        .selectFrom('remembered_devices')
        .select('selector')
        .where('expires_at', '<', '2027-04-05 12:00:00')
        .execute(),
      [],
    )
  })

  await t.test('what is over is deleted', async t => {
    const { app, user } = await remembered(t)
    await app.activity.prune()
    t.equal((await rows(user.id)).length, 1)
    app.clock.advance(401 * 24 * 60 * MINUTE)
    await app.activity.prune()
    t.strictSame(await rows(user.id), [])
  })

  await t.test("13 Laravel's cookie, and whatever else is none of ours, is nobody's", async t => {
    const { app, user, browser } = await remembered(t)
    await database.kysely
      .updateTable('users')
      .set({ remember_token: 'x'.repeat(60) })
      .where('id', '=', user.id)
      .execute()
    const [selector = '', validator = ''] = (browser.cookies.get(COOKIE) ?? '').split('.')
    const values = [
      `${user.id}|${'x'.repeat(60)}|hash`,
      `${user.id}%7C${'x'.repeat(60)}%7Chash`,
      '',
      '.',
      selector,
      `${selector}.`,
      `.${validator}`,
      `${'A'.repeat(22)}.${validator}`,
      `${selector}.${validator}x`,
      `${selector}.${validator}.${validator}`,
      'x'.repeat(4_000),
      '__proto__',
    ]
    const LARAVEL = 'remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d'
    for (const value of values) {
      for (const name of [COOKIE, LARAVEL]) {
        const other = new TestBrowser(app)
        other.cookies.set(name, value)
        const answer = await other.get('/api/me')
        t.equal(answer.status, 401, `${name}=${value.slice(0, 40)}`)
      }
    }
    const doubled = await new TestBrowser(app).get('/api/me', {
      headers: { cookie: `${COOKIE}=${selector}.${validator}; ${COOKIE}=${'A'.repeat(22)}.${validator}` },
    })
    t.equal(doubled.status, 401, '9 and of two, neither')
    const program = await new TestBrowser(app, {}).get('/api/me', {
      headers: { cookie: `${COOKIE}=${selector}.${validator}` },
    })
    t.equal(program.status, 401, 'to the API it means nothing from elsewhere')
    t.ok(await isIn(later(browser)))
  })

  await t.test('no page of somebody else begins a session with it', async t => {
    const { user, browser } = await remembered(t)
    const before = await rows(user.id)
    const evil = later(browser)
    evil.page = { origin: 'https://evil.test', referer: 'https://evil.test/', 'sec-fetch-site': 'cross-site' }
    const answer = await evil.bare('POST', '/logout')
    t.equal(answer.status, 419)
    t.equal(evil.cookies.get(COOKIE), browser.cookies.get(COOKIE))
    t.strictSame(await rows(user.id), before)
    t.ok(await isIn(later(browser)))
  })

  await t.test('a page of ours that changes something begins one', async t => {
    const { browser } = await remembered(t)
    const own = later(browser)
    own.page = { 'sec-fetch-site': 'same-origin', referer: 'http://127.0.0.1:8000/' }
    t.equal((await own.bare('POST', '/logout')).status, 204)
  })

  await t.test('10 over HTTPS its name has a prefix', async t => {
    const app = await startApp(t, {
      database,
      environment: { ...UNLIMITED, APP_URL: 'https://api.example.org' },
    })
    const user = await aMember(database)
    const browser = await logIn(app, user)
    t.ok(browser.cookies.has(`__Host-${COOKIE}`))
    const plain = new TestBrowser(app)
    plain.cookies.set(COOKIE, browser.cookies.get(`__Host-${COOKIE}`) ?? '')
    t.notOk(await isIn(plain))
  })
}
