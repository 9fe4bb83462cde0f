import { includesAddress } from './address-list.ts'
import type { Ban } from './ban.ts'
import { equalSecrets } from './secret.ts'
import type { Session } from './session.ts'
import { MINUTE_MS, timestampToMillis } from './time.ts'
import type { TokenCredential, TokenDigest } from './token.ts'

/**
 * A user, as far as this room needs to know. What else requests know of a user is declared with its columns, in
 * src/database/identity-columns.ts, which extends this type. Timestamps are PostgreSQL's text in UTC.
 */
export interface User {
  id: number
  name: string
  email: string
  emailVerifiedAt: string | null
  /** Whether there is a second factor, and it is confirmed: from then on it is asked for. */
  hasSecondFactor: boolean
}

/** The token that a request was made with. */
export interface AccessToken {
  id: number
  name: string
  abilities: readonly string[]
  /** When it ends by whatever date comes first, in milliseconds since the epoch; null for never. */
  endsAt: number | null
  /** The addresses and ranges from which it may be used; null for everywhere. */
  allowedIps: readonly string[] | null
}

/** A user with what the user may and may not do. */
export interface Known {
  user: User
  permissions: ReadonlySet<string>
  prohibitions: ReadonlySet<string>
  /** The ban from everything; null for a user who is not banned, or from some things alone. */
  ban: Ban | null
}

/** A user as stored, with what the user has been given. */
export interface StoredUser extends Known {
  /** When the next prohibition of the user's ends by itself, in milliseconds since the epoch; null if none does. */
  changesAt: number | null
}

/** Somebody who presented a personal access token. */
export interface TokenIdentity extends Known {
  via: 'token'
  token: AccessToken
}

/** Somebody who logged in, in a browser on a first-party origin. */
export interface SessionIdentity extends Known {
  via: 'session'
  session: Session
}

/** Who is calling: everything that needs to know reads this and nothing else. */
export type Identity = TokenIdentity | SessionIdentity

/** A stored token together with its owner, if that is a user who still exists. */
export interface StoredToken {
  id: number
  name: string
  digest: TokenDigest
  abilities: readonly string[]
  /** Milliseconds since the epoch; null for no end, NaN for what cannot be read. */
  expiresAt: number | null
  createdAt: number | null
  /** When it was last used, as far as that is stored: some seconds may be missing. */
  lastUsedAt: number | null
  /** The addresses and ranges from which it may be used; null for everywhere. */
  allowedIps: readonly string[] | null
  owner: StoredUser | null
}

/** Why a token opened nothing. It goes to the log and to a metric, and never to the client. */
export type AuthenticationFailure =
  | 'malformed'
  | 'unknown'
  | 'wrong_secret'
  | 'expired'
  | 'wrong_address'
  | 'no_owner'

/** How long tokens live, in minutes; null for no limit. */
export interface TokenLifetimes {
  tokenExpiration: number | null
  tokenIdleExpiration: number | null
}

/**
 * Decides what a credential is worth, given the row that it led to.
 *
 * The digests must match, all ends must lie ahead (the token's own date, the age at which all tokens end, and how
 * long one may go unused), and its owner must be a user who is not deleted. Without a readable creation date a token
 * counts as expired as soon as age matters.
 *
 * @param now milliseconds since the epoch
 * @param address where it comes from
 */
export function judgeToken(
  credential: TokenCredential,
  stored: StoredToken | null,
  now: number,
  lifetimes: TokenLifetimes,
  address: string,
): TokenIdentity | AuthenticationFailure {
  if (stored === null) return 'unknown'
  if (!equalSecrets(stored.digest, credential.digest)) return 'wrong_secret'
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
      endsAt: endOf(stored, tokenExpiration),
      allowedIps: stored.allowedIps,
    },
  }
}

/** The dates that say when a token ends; milliseconds since the epoch, null for none. */
export type TokenDates = Pick<StoredToken, 'expiresAt' | 'createdAt' | 'lastUsedAt'>

/** The columns of a token's row with its dates, as the database writes them. */
export type TokenDateColumns = Readonly<Record<'expires_at' | 'created_at' | 'last_used_at', string | null>>

/** The dates of a token's row. */
export function tokenDates(row: TokenDateColumns): TokenDates {
  const millis = (column: string | null) => (column === null ? null : timestampToMillis(column))
  return {
    expiresAt: millis(row.expires_at),
    createdAt: millis(row.created_at),
    lastUsedAt: millis(row.last_used_at),
  }
}

/**
 * When a token ends unless it is used before: by its own date, by its age (SANCTUM_EXPIRATION) or by going unused
 * (SANCTUM_IDLE_EXPIRATION), whichever comes first. Milliseconds since the epoch; null for never.
 */
export function tokenEnd(
  dates: TokenDates,
  { tokenExpiration, tokenIdleExpiration }: TokenLifetimes,
): number | null {
  const end = endOf(dates, tokenExpiration) ?? Number.POSITIVE_INFINITY
  const usedAt = dates.lastUsedAt ?? dates.createdAt ?? 0
  const unused =
    tokenIdleExpiration === null ? Number.POSITIVE_INFINITY : usedAt + tokenIdleExpiration * MINUTE_MS
  return Math.min(end, unused) === Number.POSITIVE_INFINITY ? null : Math.min(end, unused)
}

function endOf(
  { expiresAt, createdAt }: Pick<StoredToken, 'expiresAt' | 'createdAt'>,
  expiration: number | null,
): number | null {
  const own = expiresAt ?? Number.POSITIVE_INFINITY
  const byAge = expiration === null ? own : (createdAt ?? 0) + expiration * MINUTE_MS
  const end = Math.min(own, byAge)
  return end === Number.POSITIVE_INFINITY ? null : end
}
