import { type TokenDates, type TokenLifetimes, tokenEnd } from '#src/auth/identity.ts'
import { DAY_MS, timestampToMillis } from '#src/auth/time.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'

/** The expiry of a token. */
export interface TokenExpiry {
  /** Null for never. NaN if the stored date cannot be parsed. */
  at: EpochMillis | null
  /** Whether the token expires then only if it is unused until then. */
  isIdle: boolean
  state: 'expired' | 'expires soon' | null
}

/** How long before its expiry a token is marked. */
const SOON_MS: Millis = 14 * DAY_MS

/** Computes the expiry of a token, from its own date and the settings for all tokens. */
export function computeTokenExpiry(
  token: { expires_at: string | null; created_at: string | null; last_used_at: string | null },
  lifetimes: TokenLifetimes,
  now: EpochMillis,
): TokenExpiry {
  const dates: TokenDates = {
    expiresAt: millisOf(token.expires_at),
    createdAt: millisOf(token.created_at),
    lastUsedAt: millisOf(token.last_used_at),
  }
  const at = tokenEnd(dates, lifetimes)
  const inUse = tokenEnd(dates, { ...lifetimes, tokenIdleExpiration: null })
  if (at === null) return { at, isIdle: false, state: null }
  // Not `at <= now`: NaN counts as expired.
  const state = !(at > now) ? 'expired' : at - now <= SOON_MS ? 'expires soon' : null
  return { at, isIdle: state !== 'expired' && at !== inUse, state }
}

const millisOf = (text: string | null) => (text === null ? null : timestampToMillis(text))
