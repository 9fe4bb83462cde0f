import { createCipheriv, createHmac } from 'node:crypto'
import t from 'tap'
import { TestBrowser } from '../../fixtures/browser.ts'
import { MINUTE } from '../../fixtures/clock.ts'
import { changePassword, NEW_PASSWORD } from '../../fixtures/passwords.ts'
import { userById } from '../../fixtures/registration.ts'
import {
  answerChallenge,
  aUserWithSecondFactor,
  STEP,
  startChallenge,
  totpCode,
  WRONG_CODE,
  WRONG_RECOVERY_CODE,
} from '../../fixtures/second-factor.ts'
import { startUnlimited } from '../../fixtures/server.ts'
import { aMember, aToken, PASSWORD } from '../../fixtures/users.ts'
import { get, TEST_KEY } from '../../support/app.ts'
import { createDatabase, ENGINES } from '../../support/databases.ts'

for (const engine of ENGINES) {
  t.test(`the challenge of a login on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())

    await t.test('a login with a second factor needs the password and a code', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      const anonymous = browser.sessionId
      const login = await browser.post('/login', user)
      t.equal(login.status, 200)
      t.strictSame(login.json, { two_factor: true })
      const pending = browser.sessionId
      t.not(pending, anonymous, 'the session id changes with the password')
      const copy = browser.clone()

      const answer = await answerChallenge(browser, { code: totpCode(secret, app) })
      t.equal(answer.status, 204)
      t.equal(answer.text, '')
      t.not(browser.sessionId, pending, 'it changes with the code')
      t.equal((await browser.get('/api/me')).json.user.id, user.id)
      t.equal((await copy.get('/api/me')).status, 401, 'the previous session has ended')
      t.equal((await answerChallenge(copy, { code: totpCode(secret, app, 1) })).status, 419)
      t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), {
        userId: user.id,
        cause: 'code',
        remember: false,
      })
      t.equal(
        (await browser.get('/user/two-factor-secret-key')).status,
        423,
        'a login is no password confirmation',
      )
    })

    await t.test('a wrong password does not reveal whether there is a second factor', async t => {
      const app = await startUnlimited(t, database)
      const { user } = await aUserWithSecondFactor(t, app, database)
      const plain = await aMember(database)
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      const answers = []
      for (const email of [user.email, plain.email, 'no-account@example.org']) {
        answers.push((await browser.post('/login', { email, password: 'wrong' })).text)
      }
      t.equal(new Set(answers).size, 1)
      t.match(answers[0], /These credentials do not match our records/)
    })

    await t.test('a session that has not answered the challenge is a guest', async t => {
      const app = await startUnlimited(t, database)
      const { user } = await aUserWithSecondFactor(t, app, database)
      const browser = await startChallenge(app, user)
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
      t.equal((await browser.post('/register', {})).status, 422, 'the routes of guests are open')
    })

    await t.test('a code is accepted once, and no earlier code after it', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const [before, now] = [totpCode(secret, app, -1), totpCode(secret, app)]
      t.equal((await answerChallenge(await startChallenge(app, user), { code: now })).status, 204)
      const again = await answerChallenge(await startChallenge(app, user), { code: now })
      t.equal(again.status, 422)
      t.strictSame(again.json.errors, WRONG_CODE)
      t.equal((await answerChallenge(await startChallenge(app, user), { code: before })).status, 422)
      app.clock.advance(STEP)
      t.equal((await answerChallenge(await startChallenge(app, user), { code: now })).status, 422)
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { code: totpCode(secret, app) })).status,
        204,
      )
    })

    await t.test('a code that is entered five times at once is accepted once', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const browsers = await Promise.all(Array.from({ length: 5 }, () => startChallenge(app, user)))
      const code = totpCode(secret, app)
      const answers = await Promise.all(browsers.map(browser => answerChallenge(browser, { code })))
      t.strictSame(answers.map(({ status }) => status).sort(), [204, 422, 422, 422, 422])
    })

    await t.test('a code that was used by one user is valid for another with the same secret', async t => {
      const app = await startUnlimited(t, database)
      const { user: first, secret } = await aUserWithSecondFactor(t, app, database)
      const { user: second } = await aUserWithSecondFactor(t, app, database)
      const { two_factor_secret } = await userById(database, first.id)
      await database.kysely
        .updateTable('users')
        .set({ two_factor_secret })
        .where('id', '=', second.id)
        .execute()
      const code = totpCode(secret, app)
      for (const user of [first, second]) {
        t.equal((await answerChallenge(await startChallenge(app, user), { code })).status, 204)
      }
    })

    await t.test('a code may be one time step early or late', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      for (const steps of [-3, -2, 2, 3]) {
        t.equal(
          (await answerChallenge(await startChallenge(app, user), { code: totpCode(secret, app, steps) }))
            .status,
          422,
        )
      }
      app.clock.advance(2 * STEP)
      for (const steps of [-1, 0, 1]) {
        t.equal(
          (await answerChallenge(await startChallenge(app, user), { code: totpCode(secret, app, steps) }))
            .status,
          204,
        )
      }
    })

    await t.test('a recovery code is accepted once, and replaced by a new one', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser: owner, codes } = await aUserWithSecondFactor(t, app, database)
      const code = codes[3] ?? ''
      const right = await startChallenge(app, user)
      t.equal((await answerChallenge(right, { recovery_code: code, code: '' })).status, 204)
      t.equal((await right.get('/api/me')).status, 200)
      const left: string[] = (await owner.get('/user/two-factor-recovery-codes')).json
      t.equal(left.length, 8)
      t.strictSame(left.toSpliced(3, 1), codes.toSpliced(3, 1))
      const again = await answerChallenge(await startChallenge(app, user), { recovery_code: code })
      t.equal(again.status, 422)
      t.strictSame(again.json.errors, WRONG_RECOVERY_CODE)
      t.match(app.logged.filter(({ msg }) => msg === 'login').at(-1), { cause: 'recovery code' })
    })

    await t.test('recovery codes that are entered at once are accepted once each', async t => {
      const app = await startUnlimited(t, database)
      const { user, codes, browser: owner } = await aUserWithSecondFactor(t, app, database)
      const enter = async (codes: (string | undefined)[]) => {
        const browsers = await Promise.all(codes.map(() => startChallenge(app, user)))
        const answers = await Promise.all(
          browsers.map((browser, index) => answerChallenge(browser, { recovery_code: codes[index] })),
        )
        return answers.map(({ status }) => status).sort()
      }
      t.strictSame(await enter(Array.from({ length: 5 }, () => codes[0])), [204, 422, 422, 422, 422])
      t.strictSame(await enter(codes.slice(1, 5)), [204, 204, 204, 204], 'different ones are all used up')
      const left: string[] = (await owner.get('/user/two-factor-recovery-codes')).json
      t.strictSame(
        left.filter(code => codes.includes(code)),
        codes.slice(5),
      )
    })

    await t.test('invalid codes return 422', async t => {
      const app = await startUnlimited(t, database)
      const { user } = await aUserWithSecondFactor(t, app, database)
      const browser = await startChallenge(app, user)
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
        const { status, json } = await answerChallenge(browser, payload)
        t.equal(status, 422, JSON.stringify(payload).slice(0, 60))
        t.strictSame(json.errors, errors)
      }
    })

    await t.test('a code without a password before it is 422, and limited', async t => {
      const app = await startUnlimited(t, database, { TWO_FACTOR_RATE_LIMIT: '3' })
      const { secret } = await aUserWithSecondFactor(t, app, database)
      const browser = new TestBrowser(app)
      await browser.get('/sanctum/csrf-cookie')
      const statuses: number[] = []
      for (let n = 0; n < 4; n += 1) {
        const { status, json } = await answerChallenge(browser, { code: totpCode(secret, app) })
        if (status === 422) t.strictSame(json.errors, WRONG_CODE)
        statuses.push(status)
      }
      t.strictSame(statuses, [422, 422, 422, 429])
    })

    await t.test('a challenge expires after ten minutes', async t => {
      const app = await startUnlimited(t, database)
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const [late, inTime] = [await startChallenge(app, user), await startChallenge(app, user)]
      app.clock.advance(10 * MINUTE)
      t.equal((await answerChallenge(inTime, { code: totpCode(secret, app) })).status, 204)
      app.clock.advance(STEP)
      t.equal((await answerChallenge(late, { code: totpCode(secret, app) })).status, 422)
    })

    await t.test('a challenge ends with a password change or the deletion of the account', async t => {
      const app = await startUnlimited(t, database)
      const { user, browser: owner, secret } = await aUserWithSecondFactor(t, app, database)
      const pending = await startChallenge(app, user)
      t.equal((await changePassword(owner)).status, 200)
      t.equal((await answerChallenge(pending, { code: totpCode(secret, app) })).status, 422)
      const other = await startChallenge(app, { ...user, password: NEW_PASSWORD })
      await owner.send('DELETE', '/user')
      t.equal((await answerChallenge(other, { code: totpCode(secret, app) })).status, 422)
    })

    await t.test('wrong codes are limited per minute and address, and per hour and account', async t => {
      const app = await startUnlimited(t, database, {
        TWO_FACTOR_RATE_LIMIT: '3',
        TRUSTED_PROXIES: 'loopback',
      })
      const { user, secret } = await aUserWithSecondFactor(t, app, database)
      const from = (address: string) => ({ 'x-forwarded-for': address })
      const guess = async (address: string, code: string) => {
        const browser = new TestBrowser(app)
        browser.page = { ...browser.page, ...from(address) }
        await browser.logIn(user)
        return (await answerChallenge(browser, { code })).status
      }
      const statuses: number[] = []
      for (let n = 0; n < 4; n += 1) statuses.push(await guess('192.0.2.1', '000000'))
      t.strictSame(statuses, [422, 422, 422, 429], 'three codes a minute')
      for (let n = 0; n < 9; n += 1) statuses.push(await guess(`198.51.100.${n}`, '000000'))
      t.strictSame(
        statuses.slice(4),
        Array.from({ length: 9 }, () => 422),
      )
      t.equal(await guess('203.0.113.1', totpCode(secret, app)), 429, 'twelve wrong codes an hour')
      t.equal(
        await guess('127.0.0.1', totpCode(secret, app)),
        429,
        'an address with an earlier login is limited, too',
      )
      app.clock.advance(60 * MINUTE)
      t.equal(await guess('203.0.113.1', totpCode(secret, app)), 204)
    })

    await t.test('tokens stay valid after a second factor is set up', async t => {
      const app = await startUnlimited(t, database)
      const { user } = await aUserWithSecondFactor(t, app, database)
      const { token } = await aToken(database, user.id)
      t.equal((await get(app, '/api/me', token)).status, 200)
    })

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
      return Buffer.from(JSON.stringify({ iv: iv.toString('base64'), value, mac, tag: '' })).toString(
        'base64',
      )
    }
    const addLaravelUser = async (key?: string) => {
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
    /** The text that Laravel reads from a column. */
    const laravelDecrypt = async (payload: string | null) => {
      const { createEncryption: encryption } = await import('#src/auth/encryption.ts')
      return encryption([Buffer.from(TEST_KEY.slice(7), 'base64')], () => Buffer.alloc(16)).decrypt(
        payload ?? '',
      )
    }

    await t.test('a second factor of Laravel is accepted by code and by recovery code', async t => {
      const app = await startUnlimited(t, database)
      const user = await addLaravelUser()
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { code: totpCode(SECRET, app) })).status,
        204,
      )
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { recovery_code: CODES[1] })).status,
        204,
      )
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { recovery_code: CODES[1] })).status,
        422,
      )
      const stored = await userById(database, user.id)
      t.equal(stored.two_factor_secret, laravelEncrypt(SECRET))
      const codes = JSON.parse((await laravelDecrypt(stored.two_factor_recovery_codes)) ?? '')
      t.equal(codes[0], CODES[0], 'Laravel can read the codes that are written back')
      t.match(codes[1], /^[A-Za-z0-9]{10}-[A-Za-z0-9]{10}$/)
      const owner = await startChallenge(app, user)
      app.clock.advance(STEP)
      await answerChallenge(owner, { code: totpCode(SECRET, app) })
      await owner.post('/user/confirm-password', { password: PASSWORD })
      const code = totpCode(SECRET, app, 1)
      t.strictSame((await owner.get(`/user/two-factor-recovery-codes?code=${code}`)).json, codes)
    })

    await t.test('a second factor that a previous key encrypted needs APP_PREVIOUS_KEYS', async t => {
      const old = `base64:${Buffer.alloc(32, 'an old key').toString('base64')}`
      const user = await addLaravelUser(old)
      const without = await startUnlimited(t, database)
      for (const payload of [{ code: totpCode(SECRET, without) }, { recovery_code: CODES[0] }]) {
        t.equal(
          (await answerChallenge(await startChallenge(without, user), payload)).status,
          422,
          'without the key the login is refused',
        )
      }
      t.match(
        without.logged.find(({ msg }) => /APP_PREVIOUS_KEYS/.test(String(msg))),
        { level: 50, userId: user.id },
      )
      const app = await startUnlimited(t, database, { APP_PREVIOUS_KEYS: old })
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { code: totpCode(SECRET, app) })).status,
        204,
      )
      t.equal(
        (await answerChallenge(await startChallenge(app, user), { recovery_code: CODES[0] })).status,
        204,
      )
    })

    await t.test('malformed ciphertexts refuse the login and are no error', async t => {
      const app = await startUnlimited(t, database)
      const user = await addLaravelUser()
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
          t.equal(
            (await answerChallenge(await startChallenge(app, user), answer)).status,
            422,
            payload.slice(0, 40),
          )
        }
      }
    })
  })
}
