import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createSessions, type SessionHolder, SLOW_MS } from '#src/accounts/sessions.ts'
import { mintSessionId, type Session } from '#src/auth/session.ts'
import type { StoredSession } from '#src/auth/stored-session.ts'
import { loadConfig } from '#src/config/load.ts'
import { NOW } from '../fixtures/clock.ts'

const CONFIG = loadConfig({ APP_KEY: `base64:${Buffer.alloc(32, 1).toString('base64')}` })

/** A stored anonymous session. */
const STORED: StoredSession = {
  userId: null,
  payload: { created_at: NOW / 1000 },
  lastActivity: NOW / 1000,
  owner: null,
}

/** The sessions of a server whose database has one session until the test ends it. */
function createTestSessions(environment: Record<string, string> = {}) {
  const state = { now: 0, isEnded: false, lookUps: 0 }
  const sessions = createSessions({
    config: { ...CONFIG, ...loadConfig({ APP_KEY: 'x'.repeat(32), ...environment }) },
    database: { logins: null as never },
    identities: {
      async session() {
        state.lookUps += 1
        return state.isEnded ? null : STORED
      },
      rememberedSession: () => undefined,
    } as never,
    clock: () => NOW,
    monotonic: () => state.now,
    random: randomBytes,
  })
  return { sessions, state }
}

const holder = (cookie?: string, fetchSite?: string) =>
  ({
    headers: { cookie, 'sec-fetch-site': fetchSite },
    session: null,
    sessionFailure: null,
    sessionReadAt: 0,
    hasNewSession: false,
    replacesSession: false,
    connection: { destroyed: false },
  }) as unknown as SessionHolder

const cookieOf = (id = mintSessionId(randomBytes)) => `${CONFIG.sessionCookie}=${id.reveal()}`

t.test('a slow response checks once whether its session has ended, a fast one does not', async t => {
  const { sessions, state } = createTestSessions()
  const quick = holder(cookieOf())
  sessions.resumeFromCache(quick)
  t.equal(await sessions.resume(quick), null)
  state.now = SLOW_MS
  t.notOk(await sessions.hasEnded(quick))
  t.equal(state.lookUps, 1)
  state.now = SLOW_MS + 1
  t.notOk(await sessions.hasEnded(quick))
  t.equal(state.lookUps, 2)
  state.isEnded = true
  t.ok(await sessions.hasEnded(quick))
})

t.test('a session replaced by another request of the process is recognized without a query', async t => {
  const { sessions, state } = createTestSessions()
  const cookie = cookieOf()
  const [slow, login] = [holder(cookie), holder(cookie)]
  for (const one of [slow, login]) {
    sessions.resumeFromCache(one)
    await sessions.resume(one)
  }
  const session = { ...(login.session as Session), id: mintSessionId(randomBytes) }
  sessions.adopt(login, session)
  t.ok(login.replacesSession, 'the login replaces the session')
  t.notOk(await sessions.hasEnded(login))
  t.ok(await sessions.hasEnded(slow))
  t.equal(state.lookUps, 2, 'no query')
})

t.test('two different session cookies are ambiguous, and none is replaced', async t => {
  const { sessions, state } = createTestSessions()
  const both = holder(`${cookieOf()}; ${cookieOf()}`)
  t.equal(await sessions.resume(both), 'session_ambiguous')
  await sessions.ensureSession(both)
  t.equal(both.session, null)
  t.equal(state.lookUps, 0)
})

t.test('a cross-site request without its SameSite=Strict cookie gets no new session', async t => {
  const { sessions } = createTestSessions({ SESSION_SAME_SITE: 'strict' })
  t.ok(sessions.isCookieWithheld(holder(undefined, 'cross-site')))
  t.notOk(sessions.isCookieWithheld(holder(undefined, 'same-origin')))
  const withheld = holder(undefined, 'cross-site')
  await sessions.ensureSession(withheld)
  t.equal(withheld.session, null)
})
