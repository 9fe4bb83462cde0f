import t from 'tap'
import { type AttemptsDeps, createAttempts } from '#src/accounts/attempts.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { clientAddressResolver } from '#src/limits/client-address.ts'
import { memoryCounters } from '#src/limits/counters.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')

const SETTINGS: AttemptsDeps['config'] = {
  loginRateLimit: 2,
  loginFailureLimit: 1,
  confirmPasswordRateLimit: 2,
  twoFactorRateLimit: 2,
  registerRateLimit: 2,
  forgotPasswordRateLimit: 2,
  rateLimitFailedAuth: 2,
}

/** Counts in one window that never ends. */
function countsInMemory(): AttemptCounts {
  const counts = new Map<string, number>()
  return {
    async take(stages) {
      const bounds = stages.flat()
      const full = bounds.find(({ key, max }) => (counts.get(key) ?? 0) >= max)
      if (full !== undefined) return { refusal: { ...full, ttl: 60_000 } }
      const taken = bounds.map(bound => {
        const attempts = (counts.get(bound.key) ?? 0) + 1
        counts.set(bound.key, attempts)
        return { ...bound, attempts, endsAt: NOW + 60_000 }
      })
      return { taken }
    },
    async giveBack({ key }) {
      counts.set(key, (counts.get(key) ?? 1) - 1)
    },
    prune: async () => {},
    isExhausted: async ({ key, max }) => (counts.get(key) ?? 0) >= max,
  }
}

function attemptsOf() {
  const limited: string[] = []
  const attempts = createAttempts({
    config: SETTINGS,
    clock: () => NOW,
    monotonic: () => 0,
    // Asked for addresses of former logins alone, which second factors have none of.
    kysely: null as never,
    attemptCounts: countsInMemory(),
    guessCounters: memoryCounters(() => 0),
    onLimited: kind => limited.push(kind),
    log: { warn: () => {} },
  })
  return { attempts, limited }
}

/** Somebody who hears what is left. */
function callerFrom(ip: string, localIps: string[] = []) {
  const told: { max: number; remaining: number }[] = []
  const clientAddress = clientAddressResolver(localIps)(ip, undefined)
  return {
    clientAddress,
    told,
    tellAttempts: (limit: { max: number; remaining: number }) => told.push(limit),
  }
}

t.test('a caller is told what is left, and nothing by a refusal', async t => {
  const { attempts, limited } = attemptsOf()
  const caller = callerFrom('198.51.100.7')
  await attempts.count(caller, 'login', 'somebody')
  await attempts.count(caller, 'login', 'somebody')
  const refusal = await attempts.count(caller, 'login', 'somebody').catch(error => error)
  t.match(refusal, {
    statusCode: 429,
    headers: { 'x-ratelimit-limit': 2, 'x-ratelimit-remaining': 0, 'retry-after': 60 },
  })
  t.strictSame(caller.told, [
    { max: 2, remaining: 1 },
    { max: 2, remaining: 0 },
  ])
  t.strictSame(limited, ['login'])
})

t.test('what a verification throws counts as no wrong secret', async t => {
  const { attempts } = attemptsOf()
  const caller = callerFrom('198.51.100.7')
  const trying = (verify: () => Promise<boolean>) =>
    attempts.verifySecret(caller, 'two_factor', { account: '1', userId: 1, verify })
  for (let n = 0; n < 20; n++) {
    await t.rejects(
      trying(() => Promise.reject(new Error('away'))),
      { message: 'away' },
    )
  }
  t.equal(await trying(async () => true), true)
})

t.test('a look-up is not made once an address has guessed too often', async t => {
  const { attempts, limited } = attemptsOf()
  const caller = callerFrom('198.51.100.7')
  const guess = (digest: string, lookUp: () => Promise<{ isRight: boolean }>) =>
    attempts.lookUpToken(caller, digest, lookUp)
  await t.rejects(
    guess('failing', () => Promise.reject(new Error('away'))),
    { message: 'away' },
  )
  for (const digest of ['one', 'two']) {
    t.strictSame(await guess(digest, async () => ({ isRight: false })), { isRight: false })
  }
  const refusal = await guess('three', () => t.fail('looked up') as never).catch(error => error)
  t.match(refusal, { statusCode: 429 })
  t.strictSame(limited, ['failed_auth'])
  const other = await attempts.lookUpToken(callerFrom('203.0.113.7'), 'three', async () => ({ isRight: true }))
  t.strictSame(other, { isRight: true }, 'another address is counted by itself')
})

t.test('guesses of our own machines are not counted', async t => {
  const { attempts } = attemptsOf()
  const caller = callerFrom('10.0.0.7', ['10.0.0.0/8'])
  for (let n = 0; n < 5; n++) {
    const found = await attempts.lookUpToken(caller, String(n), async () => ({ isRight: false }))
    t.strictSame(found, { isRight: false })
  }
})
