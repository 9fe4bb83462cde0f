import type { Kysely } from 'kysely'
import { revokedDetails } from '#src/auth/events.ts'
import { mintSecret, PlainToken, type TokenSecret } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { Schema } from '#src/database/schema.ts'
import { deleteOwnTokens, deleteToken, type RevokedTokens } from '#src/database/token-endings.ts'
import {
  findToken,
  issueToken,
  type NewToken,
  type NotIssued,
  renameToken,
  replaceToken,
} from '#src/database/tokens.ts'
import { forbidden, notFound } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Bytes, EpochMillis, Seconds } from '#src/runtime/units.ts'
import type { Recorder } from './caller.ts'
import type { Authority, Grantor, LoginAuthority } from './grantor.ts'
import { successorTerms, tokenBounds, type WantedToken, wantedTerms } from './token-bounds.ts'

/** A new token with its plain text, which is not stored. */
export interface IssuedToken {
  id: number
  plain: PlainToken
}

/**
 * Personal access tokens. Users manage their own in a session or by a token, which bounds the tokens that it issues.
 * Operators manage those of all users.
 */
export interface Tokens {
  /**
   * Issues a token. If the caller is a token, it becomes the issuer, and revoking it revokes the new one as well.
   *
   * @throws {HttpError} 422 for input that is not valid or exceeds the bounds; 403 when the user has too many tokens
   *   or an unverified e-mail address; 401 when the caller's session or token has ended
   */
  issue(grantor: Grantor<Authority | LoginAuthority>, wanted: WantedToken): Promise<IssuedToken>
  /**
   * Replaces a token by a new one. The old one stays valid for `graceSeconds`.
   *
   * @throws {HttpError} 404 when there is no such token, 403 when it exceeds the caller's bounds, and as `issue`
   */
  rotate(grantor: Grantor, id: number, graceSeconds: Seconds): Promise<IssuedToken>
  /**
   * Renames a token.
   *
   * @throws {HttpError} 404 when there is no such token
   */
  rename(grantor: Grantor, id: number, name: string): Promise<void>
  /**
   * Revokes one token, or all but one, with all tokens that these issued. Returns how many ended.
   *
   * @param what the name of the revoked tokens in the event
   */
  revoke(grantor: Grantor, which: RevokedTokens, what: string | number): Promise<number>
  /**
   * Revokes the token of any owner. Returns how many ended. The event is recorded only if the owner is a user.
   *
   * @param id a number of at most 18 digits
   */
  revokeAny(operator: Recorder, id: string): Promise<number>
}

interface TokensOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes' | 'tokenAbilities' | 'tokenPrefix' | 'tokensPerUser'>
  clock(): EpochMillis
  random(size: Bytes): Buffer
}

/** Creates the {@link Tokens} of a process. */
export function createTokens({ kysely, config, clock, random }: TokensOptions): Tokens {
  const types = config.tokenableTypes

  const ownerOf = ({ user }: Pick<Authority, 'user'>) => ({ userId: user.id, types })

  /**
   * The id of an issued token.
   *
   * @throws {HttpError} for the reason why none was issued
   */
  const requireIssued = (result: number | NotIssued): number => {
    if (result === 'too many') throw forbidden(MESSAGES.tooManyTokens(config.tokensPerUser))
    if (result === 'no such token') throw notFound()
    return result
  }

  const newToken = (
    { user }: Pick<Authority | LoginAuthority, 'user'>,
    secret: TokenSecret,
    terms: Omit<NewToken, 'userId' | 'userType' | 'digest' | 'now'>,
  ): NewToken => ({ ...terms, userId: user.id, userType: types[0], digest: secret.digest(), now: clock() })

  return {
    async issue(grantor, wanted) {
      const secret = mintSecret(config.tokenPrefix, random)
      const { id, userId } = await grantor.authorized(async (transaction, authority) => {
        const bounds = tokenBounds(authority, config)
        const token = newToken(authority, secret, {
          ...wantedTerms(bounds, wanted, clock()),
          issuers: bounds.token === null ? [] : [bounds.token.id],
        })
        const issuing = { types, max: bounds.maxTokens }
        return { id: requireIssued(await issueToken(transaction, token, issuing)), userId: token.userId }
      })
      grantor.record('token created', { userId, tokenId: id, name: wanted.name })
      return { id, plain: new PlainToken(id, secret) }
    },

    async rotate(grantor, id, grace) {
      const secret = mintSecret(config.tokenPrefix, random)
      const { newId, userId } = await grantor.authorized(async (transaction, authority) => {
        const bounds = tokenBounds(authority, config)
        const owner = ownerOf(authority)
        const replaced = await replaceToken(transaction, owner, id, {
          successor: old => newToken(authority, secret, successorTerms(bounds, old, clock())),
          graceUntil: grace === 0 ? null : clock() + grace * 1000,
          rotatedBy: bounds.token?.id ?? null,
          max: bounds.maxTokens,
        })
        return { newId: requireIssued(replaced), userId: owner.userId }
      })
      grantor.record('token rotated', { userId, tokenId: newId, before: id, grace })
      return { id: newId, plain: new PlainToken(newId, secret) }
    },

    async rename(grantor, id, name) {
      const userId = await grantor.authorized(async (transaction, authority) => {
        const owner = ownerOf(authority)
        if (!(await renameToken(transaction, owner, id, { name, now: clock() }))) throw notFound()
        return owner.userId
      })
      grantor.record('token renamed', { userId, tokenId: id, name })
    },

    async revoke(grantor, which, what) {
      const { ended, userId } = await grantor.authorized(async (transaction, authority) => {
        const owner = ownerOf(authority)
        return { ended: await deleteOwnTokens(transaction, owner, which), userId: owner.userId }
      })
      if (ended.length > 0) grantor.record('token revoked', { userId, which: what, ...revokedDetails(ended) })
      return ended.length
    },

    async revokeAny(operator, id) {
      const token = await findToken(kysely, Number(id), types)
      const ended = await deleteToken(kysely, id)
      if (token !== null && ended.length > 0) {
        const details = { which: token.id, ...revokedDetails(ended) }
        operator.record('token revoked', { userId: token.userId, ...details })
      }
      return ended.length
    },
  }
}
