import { equalSecrets } from './secret.ts'
import type { Session } from './session.ts'
import type { TokenCredential, TokenDigest } from './token.ts'

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
  /** When it ends by whatever date comes first, in milliseconds since the epoch; null for never. */
  endsAt: number | null
}

/** A user with what the user may and may not do. */
export interface Known {
  user: User
  permissions: ReadonlySet<string>
  prohibitions: ReadonlySet<string>
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
  owner: StoredUser | null
}

/** Why a token opened nothing. It goes to the log and to a metric, and never to the client. */
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
  if (!equalSecrets(stored.digest, credential.digest)) return 'wrong_secret'
  if (expiration !== null) {
    const createdAt = stored.createdAt ?? Number.NaN
    if (!(createdAt > now - expiration * 60_000)) return 'expired'
  }
  if (stored.expiresAt !== null && !(stored.expiresAt >= now)) return 'expired'
  if (stored.owner === null) return 'no_owner'
  return {
    via: 'token',
    user: stored.owner.user,
    permissions: stored.owner.permissions,
    prohibitions: stored.owner.prohibitions,
    token: {
      id: stored.id,
      name: stored.name,
      abilities: stored.abilities,
      endsAt: endOf(stored, expiration),
    },
  }
}

function endOf({ expiresAt, createdAt }: StoredToken, expiration: number | null): number | null {
  const ends = [expiresAt, expiration === null ? null : (createdAt ?? 0) + expiration * 60_000]
  const known = ends.filter(end => end !== null)
  return known.length === 0 ? null : Math.min(...known)
}
