import { type TokenDates, type TokenLifetimes, tokenEnd } from '#src/auth/identity.ts'
import { DAY_MS, timestampToMillis } from '#src/auth/time.ts'

/** When a token ends. */
export interface TokenEnd {
  /** Milliseconds since the epoch; null for never. */
  at: number | null
  /** Whether it ends then only if it is not used before. */
  isIdle: boolean
  state: 'expired' | 'ends soon' | null
}

/** How long before its end a token is marked, in milliseconds. */
const SOON_MS = 14 * DAY_MS

/**
 * When a token ends, by its own date and by those settings that end all of them.
 *
 * @param now milliseconds since the epoch
 */
export function endOfToken(
  token: { expires_at: string | null; created_at: string | null; last_used_at: string | null },
  lifetimes: TokenLifetimes,
  now: number,
): TokenEnd {
  const dates: TokenDates = {
    expiresAt: millisOf(token.expires_at),
    createdAt: millisOf(token.created_at),
    lastUsedAt: millisOf(token.last_used_at),
  }
  const at = tokenEnd(dates, lifetimes)
  const inUse = tokenEnd(dates, { ...lifetimes, tokenIdleExpiration: null })
  if (at === null) return { at, isIdle: false, state: null }
  // What cannot be read is no time that lies ahead.
  const state = !(at > now) ? 'expired' : at - now <= SOON_MS ? 'ends soon' : null
  return { at, isIdle: state !== 'expired' && at !== inUse, state }
}

const millisOf = (text: string | null) => (text === null ? null : timestampToMillis(text))
