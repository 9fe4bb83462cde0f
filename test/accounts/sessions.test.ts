import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createSessions, type SessionHolder, SLOW_MS } from '#src/accounts/sessions.ts'
import { mintSessionId, type Session } from '#src/auth/session.ts'
import type { StoredSession } from '#src/auth/stored-session.ts'
import { loadConfig } from '#src/config/load.ts'
import { NOW } from '../fixtures/clock.ts'

const CONFIG = loadConfig({ APP_KEY: `base64:${Buffer.alloc(32, 1).toString('base64')}` })

/** A session of nobody's, as it is stored. */
const STORED: StoredSession = {
  userId: null,
  payload: { created_at: NOW / 1000 },
  lastActivity: NOW / 1000,
  owner: null,
}

/** The sessions of one server, whose database knows one session until it ends. */
function serverOf(environment: Record<string, string> = {}) {
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

t.test('a quick answer asks nobody whether its session is over, a slow one asks once', async t => {
  const { sessions, state } = serverOf()
  const quick = holder(cookieOf())
  sessions.recall(quick)
  t.equal(await sessions.resume(quick), null)
  state.now = SLOW_MS
  t.notOk(await sessions.isOver(quick))
  t.equal(state.lookUps, 1)
  state.now = SLOW_MS + 1
  t.notOk(await sessions.isOver(quick))
  t.equal(state.lookUps, 2)
  state.isEnded = true
  t.ok(await sessions.isOver(quick))
})

t.test('an answer knows at once that another request of this process has replaced its session', async t => {
  const { sessions, state } = serverOf()
  const cookie = cookieOf()
  const [slow, login] = [holder(cookie), holder(cookie)]
  for (const one of [slow, login]) {
    sessions.recall(one)
    await sessions.resume(one)
  }
  const session = { ...(login.session as Session), id: mintSessionId(randomBytes) }
  sessions.adopt(login, session)
  t.ok(login.replacesSession, 'the login waits for older answers')
  t.notOk(await sessions.isOver(login))
  t.ok(await sessions.isOver(slow))
  t.equal(state.lookUps, 2, 'without asking the database')
})

t.test('two different session cookies open nothing, and neither takes the place of the other', async t => {
  const { sessions, state } = serverOf()
  const both = holder(`${cookieOf()}; ${cookieOf()}`)
  t.equal(await sessions.resume(both), 'session_ambiguous')
  await sessions.offer(both)
  t.equal(both.session, null)
  t.equal(state.lookUps, 0)
})

t.test('a browser that keeps its strict cookies to itself is given no session in their place', async t => {
  const { sessions } = serverOf({ SESSION_SAME_SITE: 'strict' })
  t.ok(sessions.isWithheld(holder(undefined, 'cross-site')))
  t.notOk(sessions.isWithheld(holder(undefined, 'same-origin')))
  const withheld = holder(undefined, 'cross-site')
  await sessions.offer(withheld)
  t.equal(withheld.session, null)
})
