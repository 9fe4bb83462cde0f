import { timestampToMillis } from './time.ts'
import { digestsEqual, parseAbilities, type TokenCredential, type TokenDigest } from './token.ts'

/** A user, as far as requests need to know. Timestamps are PostgreSQL's text in UTC. */
export interface User {
  id: number
  name: string
  email: string
  emailVerifiedAt: string | null
  twoFactorConfirmedAt: string | null
  createdAt: string
  updatedAt: string
}

/** The token that a request was made with. */
export interface AccessToken {
  id: number
  name: string
  abilities: readonly string[]
}

/** Somebody who presented a personal access token. */
export interface TokenIdentity {
  via: 'token'
  user: User
  permissions: ReadonlySet<string>
  prohibitions: ReadonlySet<string>
  token: AccessToken
}

/** Who is calling: everything that needs to know reads this and nothing else. */
export type Identity = TokenIdentity

/** A stored token together with its owner, if that is a user who still exists. */
export interface StoredToken {
  id: number
  name: string
  digest: TokenDigest
  abilities: string | null
  expiresAt: string | null
  createdAt: string | null
  owner: { user: User; permissions: string[]; prohibitions: string[] } | null
}

/** Why a credential opened nothing. It goes to the log and to a metric, and never to the client. */
export type AuthenticationFailure = 'malformed' | 'unknown' | 'wrong_secret' | 'expired' | 'no_owner'

/**
 * Decides what a credential is worth, given the row that it led to.
 *
 * The digests must match, both expiries must lie ahead (the token's own date, and `expiration` minutes from
 * its creation), and its owner must be a user who is not deleted. Without a readable creation date a token
 * counts as expired as soon as there is a global expiration.
 *
 * @param now milliseconds since the epoch
 * @param expiration minutes that a token lives at most; null for no limit
 */
export function judgeToken(
  credential: TokenCredential,
  stored: StoredToken | null,
  now: number,
  expiration: number | null,
): TokenIdentity | AuthenticationFailure {
  if (stored === null) return 'unknown'
  if (!digestsEqual(stored.digest, credential.digest)) return 'wrong_secret'
  if (expiration !== null) {
    const createdAt = stored.createdAt === null ? Number.NaN : timestampToMillis(stored.createdAt)
    if (!(createdAt > now - expiration * 60_000)) return 'expired'
  }
  if (stored.expiresAt !== null && !(timestampToMillis(stored.expiresAt) >= now)) return 'expired'
  if (stored.owner === null) return 'no_owner'
  const { user, permissions, prohibitions } = stored.owner
  return {
    via: 'token',
    user,
    permissions: new Set(permissions),
    prohibitions: new Set(prohibitions),
    token: { id: stored.id, name: stored.name, abilities: parseAbilities(stored.abilities) },
  }
}
