import t from 'tap'
import { type AttemptsDeps, createAttempts } from '#src/accounts/attempts.ts'
import type { AttemptCounts } from '#src/limits/attempt-counts.ts'
import { clientAddressResolver } from '#src/limits/client-address.ts'
import { memoryCounters } from '#src/limits/counters.ts'
import { MINUTE, NOW } from '../fixtures/clock.ts'

const SETTINGS: AttemptsDeps['config'] = {
  loginRateLimit: 2,
  loginFailureLimit: 1,
  confirmPasswordRateLimit: 2,
  twoFactorRateLimit: 2,
  registerRateLimit: 2,
  forgotPasswordRateLimit: 2,
  rateLimitFailedAuth: 2,
  exportDailyLimit: 5,
}

/** Attempt counts with a single window that never ends. */
function countsInMemory(): AttemptCounts {
  const counts = new Map<string, number>()
  return {
    async take(stages) {
      const bounds = stages.flat()
      const full = bounds.find(({ key, max }) => (counts.get(key) ?? 0) >= max)
      if (full !== undefined) return { refusal: { ...full, ttl: MINUTE } }
      const taken = bounds.map(bound => {
        const attempts = (counts.get(bound.key) ?? 0) + 1
        counts.set(bound.key, attempts)
        return { ...bound, attempts, endsAt: NOW + MINUTE }
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

function createTestAttempts() {
  const limited: string[] = []
  const attempts = createAttempts({
    config: SETTINGS,
    clock: () => NOW,
    monotonic: () => 0,
    // Only used for the known addresses of logins.
    kysely: null as never,
    attemptCounts: countsInMemory(),
    guessCounters: memoryCounters(() => 0),
    onLimited: kind => limited.push(kind),
    log: { warn: () => {} },
  })
  return { attempts, limited }
}

/** A caller that records the remaining attempts. */
function callerFrom(ip: string, localIps: string[] = []) {
  const reported: { max: number; remaining: number }[] = []
  const clientAddress = clientAddressResolver(localIps)(ip, undefined)
  return {
    clientAddress,
    reported,
    reportRemainingAttempts: (limit: { max: number; remaining: number }) => reported.push(limit),
  }
}

t.test('a caller gets the remaining attempts, and a refusal gets rate limit headers', async t => {
  const { attempts, limited } = createTestAttempts()
  const caller = callerFrom('198.51.100.7')
  await attempts.count(caller, 'login', 'account')
  await attempts.count(caller, 'login', 'account')
  const refusal = await attempts.count(caller, 'login', 'account').catch(error => error)
  t.match(refusal, {
    statusCode: 429,
    headers: { 'x-ratelimit-limit': 2, 'x-ratelimit-remaining': 0, 'retry-after': 60 },
  })
  t.strictSame(caller.reported, [
    { max: 2, remaining: 1 },
    { max: 2, remaining: 0 },
  ])
  t.strictSame(limited, ['login'])
})

t.test('an error during verification does not count as an attempt', async t => {
  const { attempts } = createTestAttempts()
  const caller = callerFrom('198.51.100.7')
  const judgeWith = (verify: () => Promise<boolean>) =>
    attempts.verifySecret(caller, 'two_factor', { account: '1', userId: 1, verify })
  for (let n = 0; n < 20; n++) {
    await t.rejects(
      judgeWith(() => Promise.reject(new Error('unavailable'))),
      { message: 'unavailable' },
    )
  }
  t.equal(await judgeWith(async () => true), true)
})

t.test('a look-up is refused once an address has made too many guesses', async t => {
  const { attempts, limited } = createTestAttempts()
  const caller = callerFrom('198.51.100.7')
  const guess = (digest: string, lookUp: () => Promise<{ isRight: boolean }>) =>
    attempts.lookUpToken(caller, digest, lookUp)
  await t.rejects(
    guess('failing', () => Promise.reject(new Error('unavailable'))),
    { message: 'unavailable' },
  )
  for (const digest of ['one', 'two']) {
    t.strictSame(await guess(digest, async () => ({ isRight: false })), { isRight: false })
  }
  const refusal = await guess('three', () => t.fail('looked up') as never).catch(error => error)
  t.match(refusal, { statusCode: 429 })
  t.strictSame(limited, ['failed_auth'])
  const other = await attempts.lookUpToken(callerFrom('203.0.113.7'), 'three', async () => ({
    isRight: true,
  }))
  t.strictSame(other, { isRight: true }, 'another address is not limited')
})

t.test('guesses from LOCAL_IPS are not counted', async t => {
  const { attempts } = createTestAttempts()
  const caller = callerFrom('10.0.0.7', ['10.0.0.0/8'])
  for (let n = 0; n < 5; n++) {
    const found = await attempts.lookUpToken(caller, String(n), async () => ({ isRight: false }))
    t.strictSame(found, { isRight: false })
  }
})
