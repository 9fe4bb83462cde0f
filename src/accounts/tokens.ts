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
import type { Recorder } from './caller.ts'
import type { Authority, Grantor } from './grantor.ts'
import { successorTerms, tokenBounds, type WantedToken, wantedTerms } from './token-bounds.ts'

/** A new token, with the only copy of its secret. */
export interface IssuedToken {
  id: number
  plain: PlainToken
}

/**
 * Personal access tokens: users have their own issued, replaced and revoked in a session or by a token, which bounds what
 * comes of it, and operators have those of others.
 */
export interface Tokens {
  /**
   * Issues a token. A token that asks is its issuer, and ends it when it is revoked.
   *
   * @throws {HttpError} 422 for input that is not valid or gives more than the caller has, 403 when the user has too
   *   many or an e-mail address that is not verified, 401 when the caller's session or token is over by now
   */
  issue(grantor: Grantor, wanted: WantedToken): Promise<IssuedToken>
  /**
   * Puts a new token in the place of one, which still counts for some seconds.
   *
   * @throws {HttpError} 404 when there is no such token, 403 when it may do more than whoever asks, and as `issue`
   */
  rotate(grantor: Grantor, id: number, graceSeconds: number): Promise<IssuedToken>
  /** Gives a token another name. @throws {HttpError} 404 when there is no such token */
  rename(grantor: Grantor, id: number, name: string): Promise<void>
  /**
   * Revokes one token, or all but one, with all that they issued, and returns how many ended; `what` is what the record
   * calls them.
   */
  revoke(grantor: Grantor, which: RevokedTokens, what: string | number): Promise<number>
  /**
   * Revokes a token for an operator, whoever owns it, and returns how many ended. It is recorded if the owner is a user.
   *
   * @param id a number of at most 18 digits
   */
  revokeAny(operator: Recorder, id: string): Promise<number>
}

interface TokensOptions {
  kysely: Kysely<Schema>
  config: Pick<Config, 'tokenableTypes' | 'tokenAbilities' | 'tokenPrefix' | 'tokensPerUser'>
  /** Milliseconds since the epoch. */
  clock(): number
  random(size: number): Buffer
}

/** Makes the {@link Tokens} of a process. */
export function createTokens({ kysely, config, clock, random }: TokensOptions): Tokens {
  const types = config.tokenableTypes

  const ownerOf = ({ user }: Authority) => ({ userId: user.id, types })

  /** The id of a token that was issued. @throws {HttpError} for the reason why none was */
  const issued = (result: number | NotIssued): number => {
    if (result === 'too many') throw forbidden(MESSAGES.tooManyTokens(config.tokensPerUser))
    if (result === 'no such token') throw notFound()
    return result
  }

  const newToken = (
    { user }: Authority,
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
        const issuing = { types, most: bounds.most }
        return { id: issued(await issueToken(transaction, token, issuing)), userId: token.userId }
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
          most: bounds.most,
        })
        return { newId: issued(replaced), userId: owner.userId }
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
