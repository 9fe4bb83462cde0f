import t from 'tap'
import {
  successorTerms,
  type TokenBounds,
  tokenBounds,
  type WantedToken,
  wantedTerms,
} from '#src/accounts/token-bounds.ts'
import type { Identity } from '#src/auth/identity.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { DAY, NOW } from '../fixtures/clock.ts'

const { rules } = MESSAGES

const SETTINGS = { tokenAbilities: true, tokensPerUser: 3 }
const IN_A_DAY = new Date(NOW + DAY).toISOString()

const user = (emailVerifiedAt: string | null) => ({ id: 7, emailVerifiedAt }) as Identity['user']

const boundBy = (token: Partial<NonNullable<TokenBounds['token']>>): TokenBounds => ({
  token: {
    id: 1,
    name: 'bound',
    abilities: ['*'],
    endsAt: null,
    allowedIps: null,
    lastUsedAt: null,
    ...token,
  },
  checksAbilities: true,
  maxTokens: 3,
  allowsUnknownAbilities: false,
})

/** The validation errors of a requested token, by field. */
function validationErrorsOf(bounds: TokenBounds, wanted: WantedToken) {
  try {
    return wantedTerms(bounds, wanted, NOW)
  } catch (error) {
    return error instanceof HttpError ? error.errors : error
  }
}

t.test('an operator is not limited', async t => {
  const bounds = tokenBounds({ via: 'operator', user: { id: 7 } }, SETTINGS)
  t.strictSame(bounds, { token: null, checksAbilities: false, maxTokens: null, allowsUnknownAbilities: true })
  t.strictSame(wantedTerms(bounds, { name: 'x', abilities: ['reed:me'] }, NOW).abilities, ['reed:me'])
})

t.test('a user needs a verified address and has a quota', async t => {
  const caller = (verifiedAt: string | null) => ({ via: 'session', user: user(verifiedAt) }) as Identity
  t.throws(() => tokenBounds(caller(null), SETTINGS), { message: MESSAGES.unverifiedEmail })
  t.match(tokenBounds(caller('2026-01-01 00:00:00'), SETTINGS), { token: null, maxTokens: 3 })
})

t.test('omitted fields are inherited from the issuing token', async t => {
  const bounds = boundBy({ abilities: ['read:me', 'odd'], endsAt: NOW + DAY, allowedIps: ['192.0.2.0/24'] })
  t.strictSame(wantedTerms(bounds, { name: 'x' }, NOW), {
    name: 'x',
    abilities: ['read:me', 'odd'],
    allowedIps: ['192.0.2.0/24'],
    expiresAt: NOW + DAY,
  })
})

t.test('a token cannot exceed its issuer, and every violation is reported', async t => {
  const bounds = boundBy({ abilities: ['read:me'], endsAt: NOW + 1, allowedIps: ['192.0.2.0/24'] })
  const wanted = { name: 'x', abilities: ['write:me'], allowed_ips: ['0.0.0.0/0'], expires_at: IN_A_DAY }
  t.strictSame(validationErrorsOf(bounds, wanted), {
    allowed_ips: [rules.notBeyond('allowed ips')],
    abilities: [rules.notBeyond('abilities')],
    expires_at: [rules.notBeyond('expires at')],
  })
  t.strictSame(validationErrorsOf(boundBy({}), { name: 'x', abilities: ['reed:me'] }), {
    abilities: [rules.abilities(['reed:me'])],
  })
})

t.test('abilities are not limited under TOKEN_ABILITIES=off', async t => {
  const bounds = { ...boundBy({ abilities: ['read:me'] }), checksAbilities: false }
  t.strictSame(wantedTerms(bounds, { name: 'x', abilities: ['write:me'] }, NOW).abilities, ['write:me'])
})

t.test('a successor expires at the earliest limit', async t => {
  const old = { name: 'old', abilities: '["read:me"]', allowedIps: null, expiresAt: NOW + 2 * DAY }
  t.equal(successorTerms(boundBy({ endsAt: NOW + DAY }), old, NOW).expiresAt, NOW + DAY)
  t.equal(successorTerms(boundBy({}), old, NOW).expiresAt, NOW + 2 * DAY)
  t.throws(() => successorTerms(boundBy({}), { ...old, expiresAt: NOW }, NOW), {
    message: MESSAGES.tokenEnded,
  })
  const beyond = { message: MESSAGES.invalidAbility }
  t.throws(() => successorTerms(boundBy({ abilities: ['write:me'] }), old, NOW), beyond)
  t.throws(() => successorTerms(boundBy({ allowedIps: ['192.0.2.1'] }), old, NOW), beyond)
})
