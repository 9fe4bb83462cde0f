import t from 'tap'
import type { StoredToken } from '#src/auth/identity.ts'
import { HEARTBEAT_LIMIT_MS, identityCache } from '#src/auth/identity-cache.ts'
import { passwordStamp } from '#src/auth/session.ts'
import type { TokenDigest } from '#src/auth/token.ts'
import { MINUTE, NOW, testClock } from '../fixtures/clock.ts'

/** A token's row, whose name says which version of it this is. */
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

/** A cache that hears of everything, and its clock. */
function following(capacity?: number) {
  const clock = testClock()
  const cache = identityCache({ clock, monotonic: clock }, capacity)
  cache.heard(clock())
  const keep = (name: string | number, stored: StoredToken) =>
    cache.tokens.keep(cache.begin(), key(name), stored)
  const has = (name: string | number) => cache.tokens.get(key(name)) !== undefined
  /** Time goes by, in which heartbeats come. */
  const pass = (ms: number) => {
    clock.advance(ms)
    cache.heard(clock())
  }
  return { clock, cache, keep, has, pass }
}

t.test('remembers what was read, for a minute', async t => {
  const { clock, cache, keep, has } = following()
  keep('a', tokenOf(1))
  t.equal(cache.tokens.get(key('a'))?.owner?.user.id, 1)
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1000)
    cache.heard(clock())
    t.ok(has('a'))
  }
  clock.advance(1)
  t.notOk(has('a'))
  t.equal(cache.tokens.size, 0)
  t.strictSame({ ...cache.found }, { hits: 61, misses: 1 })
})

t.test('its age begins when it was asked for, not when it came', async t => {
  const { clock, cache, has, pass } = following()
  const fill = cache.begin()
  for (let second = 0; second < 59; second += 1) pass(1000)
  cache.tokens.keep(fill, key('a'), tokenOf(1))
  t.ok(has('a'))
  clock.advance(1001)
  t.notOk(has('a'))
})

t.test('forgets what is of whoever changed, in both kinds, and nothing else', async t => {
  const { cache, keep, has } = following()
  keep('a', tokenOf(1))
  keep('b', tokenOf(1))
  keep('c', tokenOf(2))
  const session = {
    userId: 1,
    payload: { created_at: 0 },
    lastActivity: 0,
    owner: { ...(tokenOf(1).owner as NonNullable<StoredToken['owner']>), password: passwordStamp('!') },
  }
  cache.sessions.keep(cache.begin(), 'session' as never, session)
  t.equal(cache.sessions.get('session' as never), session)
  t.equal(cache.sessions.get(key('a') as never), undefined, 'a token is no session')
  t.equal(cache.tokens.get('session' as never), undefined, 'nor a session a token')
  cache.forget([1, 7])
  t.strictSame([has('a'), has('b'), has('c')], [false, false, true])
  t.equal(cache.sessions.get('session' as never), undefined)
  keep('a', tokenOf(1))
  t.ok(has('a'), 'and learns again')
  cache.sessions.keep(cache.begin(), 'session' as never, session)
  cache.forget(null)
  t.strictSame([has('a'), has('c')], [false, false])
  t.equal(cache.sessions.get('session' as never), undefined)
})

t.test('does not remember what was asked for before a change', async t => {
  const { cache, has } = following()
  const before = cache.begin()
  cache.forget([1])
  cache.tokens.keep(before, key('a'), tokenOf(1))
  t.notOk(has('a'))
  const again = cache.begin()
  cache.forget(null)
  cache.tokens.keep(again, key('a'), tokenOf(1))
  t.notOk(has('a'))
})

t.test('belongs to its new owner when it is kept anew', async t => {
  const { cache, keep, has } = following()
  keep('a', tokenOf(1))
  keep('a', tokenOf(2))
  cache.forget([1])
  t.ok(has('a'))
  cache.forget([2])
  t.notOk(has('a'))
})

t.test('remembers nobody who is no user', async t => {
  const { keep, has } = following()
  keep('a', { ...tokenOf(1), owner: null })
  t.notOk(has('a'))
})

t.test('nothing for longer than the earliest end of a prohibition', async t => {
  const { clock, keep, has } = following()
  keep('a', tokenOf(1, 0, NOW + 500))
  clock.advance(499)
  t.ok(has('a'))
  clock.advance(1)
  t.notOk(has('a'))
})

t.test('durations go on when the wall clock is set, and prohibitions end by it', async t => {
  const [clock, monotonic] = [testClock(), testClock(0)]
  const cache = identityCache({ clock, monotonic })
  const keep = (changesAt: number | null) =>
    cache.tokens.keep(cache.begin(), key('a'), tokenOf(1, 0, changesAt))
  const has = () => cache.tokens.get(key('a')) !== undefined
  cache.heard(monotonic())
  keep(null)
  for (const ms of [-60 * MINUTE, 120 * MINUTE]) {
    clock.advance(ms)
    t.ok(has(), `set by ${ms} ms`)
  }
  monotonic.advance(HEARTBEAT_LIMIT_MS + 1)
  t.notOk(has(), 'a heartbeat is late')

  cache.heard(monotonic())
  keep(clock() + 500)
  t.ok(has())
  clock.advance(500)
  t.notOk(has(), 'a prohibition has ended')
})

t.test('nothing without heartbeats', async t => {
  t.test('before the first', async t => {
    const clock = testClock()
    const cache = identityCache({ clock, monotonic: clock })
    const fill = cache.begin()
    cache.tokens.keep(fill, key('a'), tokenOf(1))
    t.equal(cache.tokens.size, 0)
    cache.heard(NOW)
    cache.tokens.keep(fill, key('a'), tokenOf(1))
    t.equal(cache.tokens.size, 0, 'nor what was asked for before it')
  })

  t.test('when one is late', async t => {
    const { clock, cache, keep, has } = following()
    keep('a', tokenOf(1))
    clock.advance(HEARTBEAT_LIMIT_MS)
    t.ok(has('a'))
    clock.advance(1)
    t.notOk(has('a'))
    cache.heard(clock())
    t.notOk(has('a'), 'it is forgotten for good')
  })

  t.test('when one was late, and nobody looked meanwhile', async t => {
    const { clock, cache, keep, has } = following()
    keep('a', tokenOf(1))
    const fill = cache.begin()
    clock.advance(HEARTBEAT_LIMIT_MS + 1)
    cache.heard(clock())
    cache.tokens.keep(fill, key('b'), tokenOf(1))
    t.strictSame([has('a'), has('b')], [false, false])
  })

  t.test('when the connection is lost', async t => {
    const { clock, cache, keep, has } = following()
    keep('a', tokenOf(1))
    const fill = cache.begin()
    cache.lost()
    t.equal(cache.tokens.size, 0)
    t.notOk(has('a'))
    cache.heard(clock())
    cache.tokens.keep(fill, key('a'), tokenOf(1))
    t.notOk(has('a'), 'nor what was asked for before')
    keep('a', tokenOf(1))
    t.ok(has('a'), 'and learns again')
  })
})

t.test('forgets the least recently used beyond its capacity', async t => {
  const { cache, keep, has } = following(2)
  keep('a', tokenOf(1))
  keep('b', tokenOf(2))
  t.ok(has('a'))
  keep('c', tokenOf(3))
  t.strictSame([has('a'), has('b'), has('c')], [true, false, true])
  cache.forget([2])
  keep('b', tokenOf(2))
  t.ok(has('b'))
})

t.test('a million look-ups that race with changes bring nothing back', async t => {
  const report = simulate({ seed: 20_261_124, races: 1_000_000 })
  t.strictSame(report.violations, [])
  t.ok(report.races >= 1_000_000)
  t.ok(report.found > 100_000, `${report.found} were found in the cache, ${report.cuts} connections were cut`)
  t.ok(report.cuts > 10_000)
})

/**
 * Plays a database, a connection that tells of changes, and a cache, in an order that a seed decides: rows are asked
 * for, read and kept; changes are committed and told later, in order; heartbeats go and come; the connection is cut,
 * which shows at some time or other; and time goes by. `races` is how many times a row has changed between the
 * moment when it was asked for and the one when it was kept.
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
  const cache = identityCache({ clock: () => now, monotonic: () => now }, 4)
  /** What is committed, with the moments of the last commits, and what the cache has been told. */
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
    while (beats[0] !== undefined && beats[0].behind <= 0) cache.heard((beats.shift() as { at: number }).at)
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
      cache.tokens.keep(look.fill, key(look.key), tokenOf(userOf(look.key), look.version))
    },
    () => {
      const user = random(8) === 0 ? null : random(USERS)
      for (let index = 0; index < USERS; index += 1) {
        if (user !== null && user !== index) continue
        versions[index] = (versions[index] as number) + 1
        commits[index]?.push({ at: now, version: versions[index] as number })
        // What is older than any heartbeat that can still count.
        while ((commits[index]?.[1]?.at ?? now) < now - 2 * HEARTBEAT_LIMIT_MS) commits[index]?.shift()
      }
      if (isConnected) queue.push({ user, versions: [...versions] })
    },
    deliver,
    () => {
      if (!isConnected) return
      if (queue.length === 0) cache.heard(now)
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
        cache.lost()
      } else {
        isConnected = true
        isLost = false
        cache.heard(now)
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
