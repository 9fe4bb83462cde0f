import { createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import t from 'tap'
import type { User } from '#src/auth/identity.ts'
import {
  mintSessionId,
  parseSessionId,
  parseSessionPayload,
  passwordStamp,
  remainingMs,
  SessionId,
  type SessionPayload,
} from '#src/auth/session.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import { type StoredSession, validateSession } from '#src/auth/stored-session.ts'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'

t.test('session ids', async t => {
  const id = mintSessionId(randomBytes)

  await t.test('an id has 256 random bits and a SHA-256 digest', async t => {
    t.equal(Buffer.from(id.reveal(), 'base64url').length, 32)
    t.not(mintSessionId(randomBytes).reveal(), id.reveal())
    t.equal(id.digest(), createHash('sha256').update(id.reveal()).digest('hex'))
    t.equal(parseSessionId(id.reveal())?.digest(), id.digest())
  })

  await t.test('parseSessionId() rejects other texts', async t => {
    const text = id.reveal()
    for (const value of [
      '',
      text.slice(1),
      `${text}A`,
      `${text.slice(0, -1)}B`,
      `${text}=`,
      `"${text}"`,
      text.replace(/.$/, '+'),
      ` ${text.slice(1)}`,
      'x'.repeat(40),
      '../../../etc/passwd',
      '\0'.repeat(43),
      '1|token|hash',
    ]) {
      t.equal(parseSessionId(value), null, value)
    }
  })

  await t.test('each id has its own CSRF token', async t => {
    t.match(id.csrfToken(), /^[\w-]{43}$/)
    t.not(id.csrfToken(), id.reveal())
    t.not(
      Buffer.from(id.csrfToken(), 'base64url').toString('hex'),
      id.digest(),
      'it is not the stored digest',
    )
    t.equal(id.accepts(id.csrfToken()), true)
    t.equal(new SessionId(id.reveal()).accepts(id.csrfToken()), true, 'it is derived from the id')
    const other = mintSessionId(randomBytes)
    for (const invalid of [
      other.csrfToken(),
      id.reveal(),
      id.digest(),
      '',
      `${id.csrfToken()}=`,
      'é'.repeat(43),
    ]) {
      t.equal(id.accepts(invalid), false, invalid)
    }
  })

  await t.test('an id is not printed or serialized', async t => {
    const shown = [String(id), JSON.stringify({ id }), inspect({ id }, { depth: 9 }), `${id}`].join()
    t.notOk(shown.includes(id.reveal()))
    t.match(shown, '[SessionId]')
  })
})

t.test('judgeSession()', async t => {
  const id = mintSessionId(randomBytes)
  const lifetimes = { sessionLifetime: 120, sessionAbsoluteLifetime: null }
  const owner = {
    user: { id: 7 } as User,
    permissions: new Set(['a']),
    prohibitions: new Set<string>(),
    ban: null,
    changesAt: null,
    password: passwordStamp('hash'),
  }
  const at = NOW / 1000
  const payload = (more: object = {}) => parseSessionPayload(JSON.stringify({ created_at: at, ...more }))
  const anonymous: StoredSession = { userId: null, payload: payload(), lastActivity: at, owner: null }
  const loggedIn: StoredSession = {
    userId: 7,
    payload: payload({ password: passwordStamp('hash') }),
    lastActivity: at,
    owner,
  }

  await t.test('a session is anonymous or has the identity of its user', async t => {
    t.match(validateSession(id, anonymous, NOW, lifetimes), { session: { userId: null }, identity: null })
    t.match(validateSession(id, loggedIn, NOW, lifetimes), {
      session: { userId: 7, passwordConfirmedAt: null },
      identity: { via: 'session', user: { id: 7 }, permissions: new Set(['a']) },
    })
    const confirmed = {
      ...loggedIn,
      payload: payload({ password: passwordStamp('hash'), password_confirmed_at: at }),
    }
    t.match(validateSession(id, confirmed, NOW, lifetimes), { session: { passwordConfirmedAt: NOW } })
  })

  await t.test('an unused session ends after SESSION_LIFETIME', async t => {
    t.type(validateSession(id, loggedIn, NOW + 120 * MINUTE, lifetimes), 'object')
    t.equal(validateSession(id, loggedIn, NOW + 120 * MINUTE + 1, lifetimes), 'session_expired')
  })

  await t.test('a used session ends after SESSION_ABSOLUTE_LIFETIME', async t => {
    const limited = { sessionLifetime: 120, sessionAbsoluteLifetime: 300 }
    const busy = { ...loggedIn, lastActivity: at + 300 * 60 }
    t.type(validateSession(id, busy, NOW + 300 * MINUTE - 1, limited), 'object')
    t.equal(validateSession(id, busy, NOW + 300 * MINUTE, limited), 'session_expired')
    const session = { createdAt: NOW, enteredAt: NOW, passwordConfirmedAt: null }
    t.equal(remainingMs(session, NOW, limited), 120 * MINUTE)
    t.equal(remainingMs(session, NOW + 290 * MINUTE, limited), 10 * MINUTE)
  })

  await t.test('a session ends 400 days after the password was last entered', async t => {
    const endless = { sessionLifetime: 10_000_000, sessionAbsoluteLifetime: null }
    const entered = NOW - 399 * DAY
    const payload = { ...(loggedIn.payload as SessionPayload), entered_at: entered / 1000 }
    const remembered = { ...loggedIn, payload }
    t.type(validateSession(id, remembered, NOW + DAY - 1, endless), 'object')
    t.equal(validateSession(id, remembered, NOW + DAY, endless), 'session_expired')
    const confirmed = { ...remembered, payload: { ...payload, password_confirmed_at: at } }
    t.type(
      validateSession(id, confirmed, NOW + 2 * DAY, endless),
      'object',
      'a confirmation counts as entering',
    )
    t.type(validateSession(id, loggedIn, NOW + 400 * DAY - 1, endless), 'object')
    t.equal(validateSession(id, loggedIn, NOW + 400 * DAY, endless), 'session_expired')
  })

  await t.test('a session ends when its user is deleted or the password changes', async t => {
    t.equal(validateSession(id, { ...loggedIn, owner: null }, NOW, lifetimes), 'session_no_owner')
    const changed = { ...loggedIn, owner: { ...owner, password: passwordStamp('another') } }
    t.equal(validateSession(id, changed, NOW, lifetimes), 'session_password_changed')
    t.equal(
      validateSession(id, { ...loggedIn, payload: payload() }, NOW, lifetimes),
      'session_password_changed',
      'without a password stamp',
    )
  })

  await t.test('a replaced session is recognized for a minute', async t => {
    const replaced = { ...anonymous, payload: payload({ replaced_at: at }), lastActivity: 0 }
    t.equal(validateSession(id, replaced, NOW, lifetimes), 'session_replaced')
    t.equal(validateSession(id, replaced, NOW + MINUTE, lifetimes), 'session_replaced')
    t.equal(validateSession(id, replaced, NOW + MINUTE + 1, lifetimes), 'session_unknown')
    const withOwner = { ...loggedIn, payload: payload({ ...loggedIn.payload, replaced_at: at }) }
    t.equal(validateSession(id, withOwner, NOW, lifetimes), 'session_replaced', 'with an owner')
  })

  await t.test('rows of other programs and malformed payloads are unknown', async t => {
    t.equal(validateSession(id, null, NOW, lifetimes), 'session_unknown')
    for (const foreign of [
      '',
      'YToxOntzOjY6Il90b2tlbiI7czozOiJhYmMiO30=',
      'null',
      '[]',
      '1',
      '{}',
      '{"created_at":"1"}',
      '{"created_at":1,"password":1}',
      '{"created_at":1,"replaced_at":"1"}',
      '{"created_at":1,"device":1}',
      '{"created_at":1,"challenge":null}',
      '{"created_at":1,"challenge":1}',
      '{"created_at":1,"challenge":{"user_id":"1","password":"x","remember":true,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":1,"remember":true,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":"x","remember":1,"at":1}}',
      '{"created_at":1,"challenge":{"user_id":1,"password":"x","remember":true,"at":"1"}}',
      '{"created_at":1,"password_confirmed_at":"1"}',
    ]) {
      t.equal(
        validateSession(id, { ...anonymous, payload: parseSessionPayload(foreign) }, NOW, lifetimes),
        'session_unknown',
        foreign,
      )
    }
  })
})

t.test('session cookies', async t => {
  const settings = {
    sessionCookie: 's',
    csrfCookie: 'x',
    sessionDomain: null,
    sessionSecure: false,
    sessionSameSite: 'lax',
    sessionPartitioned: false,
    cookiePath: '/',
  } as const
  t.equal(sessionCookies(settings).session.name, 's')
  t.equal(sessionCookies({ ...settings, sessionSecure: true }).session.name, '__Host-s')
  t.equal(sessionCookies({ ...settings, sessionSecure: true, sessionDomain: '.a.test' }).session.name, 's')
  const { read } = sessionCookies(settings).session
  t.strictSame(read(undefined), [])
  t.strictSame(read('a=1; s=2;s=3; ss=4; s =5; __proto__=6; S=7'), ['2', '3'])
  const prefixed = sessionCookies({ ...settings, sessionSecure: true }).session
  t.strictSame(prefixed.read('s=1; __Host-s=2'), ['2'], 'the name without prefix is not read')
})
