import t from 'tap'
import type { StoredToken } from '#src/auth/identity.ts'
import { createIdentityCache, HEARTBEAT_LIMIT_MS } from '#src/auth/identity-cache.ts'
import { passwordStamp } from '#src/auth/session.ts'
import type { TokenDigest } from '#src/auth/token.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'

/** A stored token whose name is its version. */
const tokenOf = (userId: number, version = 0, changesAt: number | null = null): StoredToken => ({
  id: userId,
  name: String(version),
  digest: 'digest' as TokenDigest,
  abilities: ['*'],
  expiresAt: null,
  createdAt: null,
  lastUsedAt: null,
  allowedIps: null,
  owner: {
    user: {
      id: userId,
      name: 'a',
      email: 'a@example.org',
      emailVerifiedAt: null,
      twoFactorConfirmedAt: null,
      hasSecondFactor: false,
      createdAt: '2026-01-01 00:00:00',
      updatedAt: '2026-01-01 00:00:00',
    },
    permissions: new Set(),
    prohibitions: new Set(),
    ban: null,
    changesAt,
  },
})

const key = (text: string | number) => `key-${text}` as TokenDigest

/** A cache that receives all changes, and its clock. */
function createFollowingCache(capacity?: number) {
  const clock = testClock()
  const cache = createIdentityCache({ clock, monotonic: clock }, capacity)
  cache.reportHeartbeat(clock())
  const keep = (name: string | number, stored: StoredToken) =>
    cache.tokens.put(cache.begin(), key(name), stored)
  const has = (name: string | number) => cache.tokens.get(key(name)) !== undefined
  /** Advances the clock, with heartbeats. */
  const pass = (ms: number) => {
    clock.advance(ms)
    cache.reportHeartbeat(clock())
  }
  return { clock, cache, keep, has, pass }
}

t.test('entries are cached for a minute', async t => {
  const { clock, cache, keep, has } = createFollowingCache()
  keep('a', tokenOf(1))
  t.equal(cache.tokens.get(key('a'))?.owner?.user.id, 1)
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1000)
    cache.reportHeartbeat(clock())
    t.ok(has('a'))
  }
  clock.advance(1)
  t.notOk(has('a'))
  t.equal(cache.tokens.size, 0)
  t.strictSame({ ...cache.found }, { hits: 61, misses: 1 })
})

t.test('the age of an entry counts from its query, not from its result', async t => {
  const { clock, cache, has, pass } = createFollowingCache()
  const fill = cache.begin()
  for (let second = 0; second < 59; second += 1) pass(1000)
  cache.tokens.put(fill, key('a'), tokenOf(1))
  t.ok(has('a'))
  clock.advance(1001)
  t.notOk(has('a'))
})

t.test('a change drops the tokens and sessions of its user only', async t => {
  const { cache, keep, has } = createFollowingCache()
  keep('a', tokenOf(1))
  keep('b', tokenOf(1))
  keep('c', tokenOf(2))
  const session = {
    userId: 1,
    payload: { created_at: 0 },
    lastActivity: 0,
    owner: { ...(tokenOf(1).owner as NonNullable<StoredToken['owner']>), password: passwordStamp('!') },
  }
  cache.sessions.put(cache.begin(), 'session' as never, session)
  t.equal(cache.sessions.get('session' as never), session)
  t.equal(cache.sessions.get(key('a') as never), undefined, 'tokens are not in the sessions')
  t.equal(cache.tokens.get('session' as never), undefined, 'sessions are not in the tokens')
  cache.forget([1, 7])
  t.strictSame([has('a'), has('b'), has('c')], [false, false, true])
  t.equal(cache.sessions.get('session' as never), undefined)
  keep('a', tokenOf(1))
  t.ok(has('a'), 'new entries are cached')
  cache.sessions.put(cache.begin(), 'session' as never, session)
  cache.forget(null)
  t.strictSame([has('a'), has('c')], [false, false])
  t.equal(cache.sessions.get('session' as never), undefined)
})

t.test('a result whose query started before a change is not cached', async t => {
  const { cache, has } = createFollowingCache()
  const before = cache.begin()
  cache.forget([1])
  cache.tokens.put(before, key('a'), tokenOf(1))
  t.notOk(has('a'))
  const again = cache.begin()
  cache.forget(null)
  cache.tokens.put(again, key('a'), tokenOf(1))
  t.notOk(has('a'))
})

t.test('an entry stored again belongs to its new user', async t => {
  const { cache, keep, has } = createFollowingCache()
  keep('a', tokenOf(1))
  keep('a', tokenOf(2))
  cache.forget([1])
  t.ok(has('a'))
  cache.forget([2])
  t.notOk(has('a'))
})

t.test('tokens without a user are not cached', async t => {
  const { keep, has } = createFollowingCache()
  keep('a', { ...tokenOf(1), owner: null })
  t.notOk(has('a'))
})

t.test('an entry is cached until the earliest expiry of a prohibition', async t => {
  const { clock, keep, has } = createFollowingCache()
  keep('a', tokenOf(1, 0, NOW + 500))
  clock.advance(499)
  t.ok(has('a'))
  clock.advance(1)
  t.notOk(has('a'))
})

t.test('ages follow the monotonic clock, prohibitions the system clock', async t => {
  const [clock, monotonic] = [testClock(), testClock(0)]
  const cache = createIdentityCache({ clock, monotonic })
  const keep = (changesAt: number | null) =>
    cache.tokens.put(cache.begin(), key('a'), tokenOf(1, 0, changesAt))
  const has = () => cache.tokens.get(key('a')) !== undefined
  cache.reportHeartbeat(monotonic())
  keep(null)
  for (const ms of [-60 * MINUTE, 120 * MINUTE]) {
    clock.advance(ms)
    t.ok(has(), `set by ${ms} ms`)
  }
  monotonic.advance(HEARTBEAT_LIMIT_MS + 1)
  t.notOk(has(), 'a heartbeat is late')

  cache.reportHeartbeat(monotonic())
  keep(clock() + 500)
  t.ok(has())
  clock.advance(500)
  t.notOk(has(), 'a prohibition has expired')
})

t.test('nothing is cached without heartbeats', async t => {
  t.test('before the first heartbeat', async t => {
    const clock = testClock()
    const cache = createIdentityCache({ clock, monotonic: clock })
    const fill = cache.begin()
    cache.tokens.put(fill, key('a'), tokenOf(1))
    t.equal(cache.tokens.size, 0)
    cache.reportHeartbeat(NOW)
    cache.tokens.put(fill, key('a'), tokenOf(1))
    t.equal(cache.tokens.size, 0, 'a query started before it')
  })

  t.test('after a late heartbeat', async t => {
    const { clock, cache, keep, has } = createFollowingCache()
    keep('a', tokenOf(1))
    clock.advance(HEARTBEAT_LIMIT_MS)
    t.ok(has('a'))
    clock.advance(1)
    t.notOk(has('a'))
    cache.reportHeartbeat(clock())
    t.notOk(has('a'), 'the entry is dropped')
  })

  t.test('after a late heartbeat without a look-up in between', async t => {
    const { clock, cache, keep, has } = createFollowingCache()
    keep('a', tokenOf(1))
    const fill = cache.begin()
    clock.advance(HEARTBEAT_LIMIT_MS + 1)
    cache.reportHeartbeat(clock())
    cache.tokens.put(fill, key('b'), tokenOf(1))
    t.strictSame([has('a'), has('b')], [false, false])
  })

  t.test('after the connection is lost', async t => {
    const { clock, cache, keep, has } = createFollowingCache()
    keep('a', tokenOf(1))
    const fill = cache.begin()
    cache.reportLoss()
    t.equal(cache.tokens.size, 0)
    t.notOk(has('a'))
    cache.reportHeartbeat(clock())
    cache.tokens.put(fill, key('a'), tokenOf(1))
    t.notOk(has('a'), 'a query started before')
    keep('a', tokenOf(1))
    t.ok(has('a'), 'new entries are cached')
  })
})

t.test('the least recently used entry is evicted', async t => {
  const { cache, keep, has } = createFollowingCache(2)
  keep('a', tokenOf(1))
  keep('b', tokenOf(2))
  t.ok(has('a'))
  keep('c', tokenOf(3))
  t.strictSame([has('a'), has('b'), has('c')], [true, false, true])
  cache.forget([2])
  keep('b', tokenOf(2))
  t.ok(has('b'))
})

t.test('a million look-ups that race with changes return no outdated entry (simulation)', async t => {
  const report = simulate({ seed: 20_261_124, races: 1_000_000 })
  t.strictSame(report.violations, [])
  t.ok(report.races >= 1_000_000)
  t.ok(report.found > 100_000, `${report.found} were found in the cache, ${report.cuts} connections were cut`)
  t.ok(report.cuts > 10_000)
})

/**
 * Simulates a database, a connection that notifies of changes, and a cache, in an order that the seed decides: rows
 * are queried, read and cached; changes are committed and notified later, in order; heartbeats are sent and answered;
 * the connection is cut and that is noticed later; time passes. `races` is how often a row has changed between its
 * query and its caching.
 */
function simulate({ seed, races: enough }: { seed: number; races: number }) {
  let state = seed
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }

  const USERS = 3
  const KEYS = 5
  let now = NOW
  const cache = createIdentityCache({ clock: () => now, monotonic: () => now }, 4)
  /** Committed versions with the times of their commits, and pending notifications. */
  const versions = Array.from({ length: USERS }, () => 0)
  const commits = versions.map(() => [{ at: 0, version: 0 }])
  const told = versions.map(() => 0)

  interface Look {
    fill: ReturnType<typeof cache.begin>
    key: number
    version: number | null
    begun: number
  }
  const looks: Look[] = []
  let queue: { user: number | null; versions: number[] }[] = []
  let beats: { at: number; behind: number }[] = []
  let isConnected = false
  let isLost = true
  const counted = { races: 0, found: 0, cuts: 0 }
  const violations: string[] = []

  const userOf = (name: number) => name % USERS
  const deliver = () => {
    const message = queue.shift()
    if (message === undefined) return
    for (const beat of beats) beat.behind -= 1
    for (let user = 0; user < USERS; user += 1) {
      if (message.user === null || message.user === user) told[user] = message.versions[user] as number
    }
    cache.forget(message.user === null ? null : [message.user])
    while (beats[0] !== undefined && beats[0].behind <= 0)
      cache.reportHeartbeat((beats.shift() as { at: number }).at)
  }

  const steps = [
    () => {
      if (looks.length >= 6) return
      const name = random(KEYS)
      looks.push({
        fill: cache.begin(),
        key: name,
        version: null,
        begun: versions[userOf(name)] as number,
      })
    },
    () => {
      const look = looks[random(looks.length)]
      if (look !== undefined) look.version ??= versions[userOf(look.key)] as number
    },
    () => {
      const index = random(looks.length)
      const look = looks[index]
      if (look?.version == null) return
      looks.splice(index, 1)
      if (look.begun !== versions[userOf(look.key)]) counted.races += 1
      cache.tokens.put(look.fill, key(look.key), tokenOf(userOf(look.key), look.version))
    },
    () => {
      const user = random(8) === 0 ? null : random(USERS)
      for (let index = 0; index < USERS; index += 1) {
        if (user !== null && user !== index) continue
        versions[index] = (versions[index] as number) + 1
        commits[index]?.push({ at: now, version: versions[index] as number })
        // Commits older than any heartbeat that is still valid.
        while ((commits[index]?.[1]?.at ?? now) < now - 2 * HEARTBEAT_LIMIT_MS) commits[index]?.shift()
      }
      if (isConnected) queue.push({ user, versions: [...versions] })
    },
    deliver,
    () => {
      if (!isConnected) return
      if (queue.length === 0) cache.reportHeartbeat(now)
      else beats.push({ at: now, behind: queue.length })
    },
    () => {
      now += random(30) === 0 ? random(3_000) : random(40)
    },
    () => {
      if (random(40) > 0) return
      if (isConnected) {
        counted.cuts += 1
        isConnected = false
        queue = []
        beats = []
      } else if (!isLost) {
        isLost = true
        cache.reportLoss()
      } else {
        isConnected = true
        isLost = false
        cache.reportHeartbeat(now)
      }
    },
  ]

  const check = () => {
    const name = random(KEYS)
    const user = userOf(name)
    const stored = cache.tokens.get(key(name))
    if (stored === undefined) return
    counted.found += 1
    const version = Number(stored.name)
    const known = commits[user]?.findLast(({ at }) => at < now - HEARTBEAT_LIMIT_MS)?.version ?? 0
    if (isLost) violations.push(`at ${now}: found without a connection`)
    else if (version < (told[user] as number)) violations.push(`at ${now}: older than what was told`)
    else if (version < known) violations.push(`at ${now}: older than a heartbeat`)
  }

  while (counted.races < enough && violations.length < 10) {
    ;(steps[random(steps.length)] as () => void)()
    check()
  }
  return { ...counted, violations }
}
