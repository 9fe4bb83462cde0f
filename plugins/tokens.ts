import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { forbidden, notFound, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { ALL_ABILITIES, covers, unknownAbilities } from '#src/auth/ability.ts'
import { containsRanges, isAddressOrRange } from '#src/auth/address-list.ts'
import { revokedDetails } from '#src/auth/events.ts'
import type { AccessToken, Identity } from '#src/auth/identity.ts'
import { isoToMillis } from '#src/auth/time.ts'
import { mintSecret, PlainToken, parseAbilities, type TokenSecret } from '#src/auth/token.ts'
import { deleteOwnTokens, type RevokedTokens } from '#src/database/token-endings.ts'
import {
  issueToken,
  type NewToken,
  type NotIssued,
  type Predecessor,
  renameToken,
  replaceToken,
} from '#src/database/tokens.ts'
import { errorsByField } from '#src/input/account.ts'

declare module 'fastify' {
  interface FastifyInstance {
    tokens: Tokens
  }
}

/** A token that is asked for; what is null or absent is as whoever asks has it. */
interface WantedToken {
  name: string
  abilities?: readonly string[] | null
  allowed_ips?: readonly string[] | null
  /** ISO 8601, in UTC unless an offset is given. */
  expires_at?: string | null
}

/** A new token, with the only copy of its secret. */
interface IssuedToken {
  id: number
  plain: PlainToken
}

/** What users do with their own tokens, in a session or by a token that bounds what comes of it. */
interface Tokens {
  /**
   * Issues a token. A token that asks is its issuer, and ends it when it is revoked.
   *
   * @throws {HttpError} 422 for input that is not valid or gives more than the caller has, 403 when the user has too
   *   many or an e-mail address that is not verified, 401 when the caller's session or token is over by now
   */
  issue(request: FastifyRequest, wanted: WantedToken): Promise<IssuedToken>
  /**
   * Puts a new token in the place of one, which still counts for some seconds.
   *
   * @throws {HttpError} 404 when there is no such token, 403 when it may do more than whoever asks, and as `issue`
   */
  rotate(request: FastifyRequest, id: number, graceSeconds: number): Promise<IssuedToken>
  /** Gives a token another name. @throws {HttpError} 404 when there is no such token */
  rename(request: FastifyRequest, id: number, name: string): Promise<void>
  /**
   * Revokes one token, or all but one, with all that they issued, and returns how many ended; `what` is what the record
   * calls them.
   */
  revoke(request: FastifyRequest, which: RevokedTokens, what: string | number): Promise<number>
}

const { rules } = MESSAGES

/** Adds `app.tokens`. */
export default fp(
  async app => {
    const { config, clock, random } = app
    const types = config.tokenableTypes

    const ownerOf = ({ user }: Identity) => ({ userId: user.id, types })

    /** Whether a token may give abilities, where they count. */
    const mayGive = (bound: AccessToken | null, abilities: readonly string[]): boolean =>
      bound === null || !config.tokenAbilities || covers(bound.abilities, abilities)

    /** The id of a token that was issued. @throws {HttpError} for the reason why none was */
    const issued = (result: number | NotIssued): number => {
      if (result === 'too many') throw forbidden(MESSAGES.tooManyTokens(config.tokensPerUser))
      if (result === 'no such token') throw notFound()
      return result
    }

    const newToken = (
      { user }: Identity,
      secret: TokenSecret,
      token: Pick<NewToken, 'name' | 'abilities' | 'allowedIps' | 'expiresAt' | 'issuers'>,
    ): NewToken => ({ ...token, userId: user.id, userType: types[0], digest: secret.digest(), now: clock() })

    /** The token that a caller may issue. @throws {HttpError} 422 for what is not valid, or more than the caller has */
    const wantedToken = (
      bound: AccessToken | null,
      { name, abilities: asked, allowed_ips: addresses, expires_at: until }: WantedToken,
    ) => {
      const abilities = [...new Set(asked ?? bound?.abilities ?? [ALL_ABILITIES])]
      // A token that Laravel issued may have others, and passes them on.
      const unknown = unknownAbilities(asked ?? [])
      const end = until === undefined || until === null ? null : isoToMillis(until)
      const expiresAt = end ?? bound?.endsAt ?? null
      const allowedIps = addresses ?? bound?.allowedIps ?? null
      const errors = errorsByField({
        allowed_ips:
          allowedIps !== null && !allowedIps.every(isAddressOrRange)
            ? [rules.addresses('allowed ips')]
            : isWithin(bound, allowedIps)
              ? []
              : [rules.notBeyond('allowed ips')],
        abilities:
          unknown.length > 0
            ? [rules.abilities(unknown)]
            : mayGive(bound, abilities)
              ? []
              : [rules.notBeyond('abilities')],
        expires_at: Number.isNaN(expiresAt)
          ? [rules.isoDate('expires at')]
          : expiresAt !== null && expiresAt <= clock()
            ? [rules.future('expires at')]
            : bound !== null && bound.endsAt !== null && expiresAt !== null && expiresAt > bound.endsAt
              ? [rules.notBeyond('expires at')]
              : [],
      })
      if (errors !== null) throw unprocessable(errors)
      return { name, abilities, allowedIps, expiresAt }
    }

    /** What a caller may put in the place of a token. @throws {HttpError} 403 and 422 if nothing */
    const successorOf = (
      bound: AccessToken | null,
      { name, abilities: stored, allowedIps, expiresAt }: Predecessor,
    ) => {
      const abilities = parseAbilities(stored)
      if (!mayGive(bound, abilities) || !isWithin(bound, allowedIps)) throw forbidden(MESSAGES.invalidAbility)
      const end = Math.min(expiresAt ?? Number.POSITIVE_INFINITY, bound?.endsAt ?? Number.POSITIVE_INFINITY)
      if (!(end > clock())) throw unprocessable({ token: [MESSAGES.tokenEnded] })
      return { name, abilities, allowedIps, expiresAt: end === Number.POSITIVE_INFINITY ? null : end }
    }

    app.decorate('tokens', {
      async issue(request, wanted) {
        const secret = mintSecret(config.tokenPrefix, random)
        const { id, userId } = await request.authorized(async (transaction, identity) => {
          requireVerifiedEmail(identity)
          const bound = boundOf(identity)
          const token = newToken(identity, secret, {
            ...wantedToken(bound, wanted),
            issuers: bound === null ? [] : [bound.id],
          })
          const issuing = { types, most: config.tokensPerUser }
          return { id: issued(await issueToken(transaction, token, issuing)), userId: token.userId }
        })
        request.record('token created', { userId, tokenId: id, name: wanted.name })
        return { id, plain: new PlainToken(id, secret) }
      },
      async rotate(request, id, grace) {
        const secret = mintSecret(config.tokenPrefix, random)
        const { newId, userId } = await request.authorized(async (transaction, identity) => {
          requireVerifiedEmail(identity)
          const bound = boundOf(identity)
          const owner = ownerOf(identity)
          const replaced = await replaceToken(transaction, owner, id, {
            successor: old => newToken(identity, secret, successorOf(bound, old)),
            graceUntil: grace === 0 ? null : clock() + grace * 1000,
            rotatedBy: bound?.id ?? null,
            most: config.tokensPerUser,
          })
          return { newId: issued(replaced), userId: owner.userId }
        })
        request.record('token rotated', { userId, tokenId: newId, before: id, grace })
        return { id: newId, plain: new PlainToken(newId, secret) }
      },
      async rename(request, id, name) {
        const userId = await request.authorized(async (transaction, identity) => {
          const owner = ownerOf(identity)
          if (!(await renameToken(transaction, owner, id, { name, now: clock() }))) throw notFound()
          return owner.userId
        })
        request.record('token renamed', { userId, tokenId: id, name })
      },
      async revoke(request, which, what) {
        const { ended, userId } = await request.authorized(async (transaction, identity) => {
          const owner = ownerOf(identity)
          return { ended: await deleteOwnTokens(transaction, owner, which), userId: owner.userId }
        })
        if (ended.length > 0)
          request.record('token revoked', { userId, which: what, ...revokedDetails(ended) })
        return ended.length
      },
    })
  },
  { name: 'tokens', dependencies: ['authority', 'events'] },
)

/** The token that bounds what another one may be; null for a session. */
const boundOf = (identity: Identity): AccessToken | null => (identity.via === 'token' ? identity.token : null)

/** @throws {HttpError} 403 for a user whose e-mail address is not verified */
function requireVerifiedEmail({ user }: Identity): void {
  if (user.emailVerifiedAt === null) throw forbidden(MESSAGES.unverifiedEmail)
}

/** Whether a token may be used from nowhere else than the one that bounds it. */
const isWithin = (bound: AccessToken | null, allowedIps: readonly string[] | null): boolean =>
  bound === null ||
  bound.allowedIps === null ||
  (allowedIps !== null && containsRanges(bound.allowedIps, allowedIps))
