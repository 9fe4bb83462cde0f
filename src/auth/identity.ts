import type { EpochMillis } from '#src/runtime/units.ts'
import { includesAddress } from './address-list.ts'
import type { Ban } from './ban.ts'
import { constantTimeEqual } from './secret.ts'
import type { Session } from './session.ts'
import { MINUTE_MS, timestampToMillis } from './time.ts'
import type { TokenCredential, TokenDigest } from './token.ts'

/**
 * A user, as far as this module needs it. Further columns are declared in src/database/identity-columns.ts, which
 * extends this type. Timestamps are PostgreSQL's text in UTC.
 */
export interface User {
  id: number
  name: string
  email: string
  emailVerifiedAt: string | null
  /** Whether a second factor is confirmed, so that logins require it. */
  hasSecondFactor: boolean
}

/** The token of a request. */
export interface AccessToken {
  id: number
  name: string
  abilities: readonly string[]
  /** When it ends, by its own date or by its age; null for never. */
  endsAt: EpochMillis | null
  /** The addresses and ranges that may use it; null for all. */
  allowedIps: readonly string[] | null
  /** The stored last use. It lags as that of {@link StoredToken}. */
  lastUsedAt: EpochMillis | null
}

/** A user with permissions and bans. */
export interface Principal {
  user: User
  permissions: ReadonlySet<string>
  prohibitions: ReadonlySet<string>
  /** The ban from everything; null for a user without one. */
  ban: Ban | null
}

/** A user as stored. */
export interface StoredUser extends Principal {
  /** When the user's next prohibition ends by itself; null for none. */
  changesAt: EpochMillis | null
}

/** A user authenticated by a personal access token. */
export interface TokenIdentity extends Principal {
  via: 'token'
  token: AccessToken
}

/** A user authenticated by a session, in a browser on a first-party origin. */
export interface SessionIdentity extends Principal {
  via: 'session'
  session: Session
}

/** The authenticated caller. All authorization reads it. */
export type Identity = TokenIdentity | SessionIdentity

/** A stored token with its owner, null if that is not an existing user. */
export interface StoredToken {
  id: number
  name: string
  digest: TokenDigest
  abilities: readonly string[]
  /** Null for no end, NaN for an unreadable one. */
  expiresAt: EpochMillis | null
  createdAt: EpochMillis | null
  /** The stored last use. It lags by up to LAST_USED_INTERVAL. */
  lastUsedAt: EpochMillis | null
  /** The addresses and ranges that may use it; null for all. */
  allowedIps: readonly string[] | null
  owner: StoredUser | null
}

/** Why a token was refused, for the log and a metric. Clients never see it. */
export type AuthenticationFailure =
  | 'malformed'
  | 'unknown'
  | 'wrong_secret'
  | 'expired'
  | 'wrong_address'
  | 'no_owner'

/** Lifetimes of tokens, in minutes; null for no limit. */
export interface TokenLifetimes {
  tokenExpiration: number | null
  tokenIdleExpiration: number | null
}

/**
 * Validates a credential against the row that it led to.
 *
 * The digests must match. The token's own date, the maximum age of all tokens and the maximum time of disuse must lie
 * ahead. The client address must be allowed, and the owner must be an existing user. If tokens have a maximum age,
 * one without a readable creation date counts as expired.
 *
 * @param address the client address
 */
export function validateToken(
  credential: TokenCredential,
  stored: StoredToken | null,
  now: EpochMillis,
  lifetimes: TokenLifetimes,
  address: string,
): TokenIdentity | AuthenticationFailure {
  if (stored === null) return 'unknown'
  if (!constantTimeEqual(stored.digest, credential.digest)) return 'wrong_secret'
  return validateFoundToken(stored, now, lifetimes, address)
}

/** As {@link validateToken}, of a token that was found by its digest. */
export function validateFoundToken(
  stored: StoredToken,
  now: EpochMillis,
  lifetimes: TokenLifetimes,
  address: string,
): TokenIdentity | AuthenticationFailure {
  const { tokenExpiration, tokenIdleExpiration } = lifetimes
  const createdAt = stored.createdAt ?? Number.NaN
  if (tokenExpiration !== null && !(createdAt > now - tokenExpiration * MINUTE_MS)) return 'expired'
  if (stored.expiresAt !== null && !(stored.expiresAt >= now)) return 'expired'
  if (tokenIdleExpiration !== null) {
    const usedAt = stored.lastUsedAt ?? createdAt
    if (!(usedAt >= now - tokenIdleExpiration * MINUTE_MS)) return 'expired'
  }
  if (stored.allowedIps !== null && !includesAddress(stored.allowedIps, address)) return 'wrong_address'
  if (stored.owner === null) return 'no_owner'
  return {
    via: 'token',
    user: stored.owner.user,
    permissions: stored.owner.permissions,
    prohibitions: stored.owner.prohibitions,
    ban: stored.owner.ban,
    token: {
      id: stored.id,
      name: stored.name,
      abilities: stored.abilities,
      endsAt: fixedEnd(stored, tokenExpiration),
      allowedIps: stored.allowedIps,
      lastUsedAt: stored.lastUsedAt,
    },
  }
}

/** The dates that determine when a token ends. */
export type TokenDates = Pick<StoredToken, 'expiresAt' | 'createdAt' | 'lastUsedAt'>

/** The columns of these dates, as PostgreSQL prints them. */
export type TokenDateColumns = Readonly<Record<'expires_at' | 'created_at' | 'last_used_at', string | null>>

/** Parses the dates of a token's row. */
export function tokenDates(row: TokenDateColumns): TokenDates {
  const millis = (column: string | null) => (column === null ? null : timestampToMillis(column))
  return {
    expiresAt: millis(row.expires_at),
    createdAt: millis(row.created_at),
    lastUsedAt: millis(row.last_used_at),
  }
}

/**
 * When a token ends if it is not used before: by its own date, by its age (SANCTUM_EXPIRATION) or by disuse
 * (SANCTUM_IDLE_EXPIRATION), whichever is first; null for never.
 */
export function tokenEnd(
  dates: TokenDates,
  { tokenExpiration, tokenIdleExpiration }: TokenLifetimes,
): EpochMillis | null {
  const end = fixedEnd(dates, tokenExpiration) ?? Number.POSITIVE_INFINITY
  const usedAt = dates.lastUsedAt ?? dates.createdAt ?? 0
  const idleEnd =
    tokenIdleExpiration === null ? Number.POSITIVE_INFINITY : usedAt + tokenIdleExpiration * MINUTE_MS
  return Math.min(end, idleEnd) === Number.POSITIVE_INFINITY ? null : Math.min(end, idleEnd)
}

function fixedEnd(
  { expiresAt, createdAt }: Pick<StoredToken, 'expiresAt' | 'createdAt'>,
  expiration: number | null,
): EpochMillis | null {
  const own = expiresAt ?? Number.POSITIVE_INFINITY
  const byAge = expiration === null ? own : (createdAt ?? 0) + expiration * MINUTE_MS
  const end = Math.min(own, byAge)
  return end === Number.POSITIVE_INFINITY ? null : end
}
