import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { errorsByField } from '../src/api/account-input.ts'
import { forbidden, notFound, unauthenticated, unprocessable } from '../src/api/errors.ts'
import { MESSAGES } from '../src/api/messages.ts'
import { ALL_ABILITIES, covers } from '../src/auth/ability.ts'
import { containsRanges, isAddressOrRange } from '../src/auth/address-list.ts'
import type { AccessToken, Identity } from '../src/auth/identity.ts'
import { isoToMillis } from '../src/auth/time.ts'
import { mintSecret, PlainToken, parseAbilities, type TokenSecret } from '../src/auth/token.ts'
import {
  type Authority,
  deleteOwnTokens,
  issueToken,
  type NewToken,
  type NotIssued,
  type Predecessor,
  renameToken,
  replaceToken,
} from '../src/database/tokens.ts'

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
   * Issues a token.
   *
   * @throws {HttpError} 422 for input that is not valid or gives more than whoever asks has, 403 when there are too
   *   many, 401 when what allowed the request is over meanwhile
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
  /** Revokes one token, or all but one, and returns how many there were; `what` is what the record calls them. */
  revoke(
    request: FastifyRequest,
    which: { id: number } | { except: number | null },
    what: string | number,
  ): Promise<number>
}

const { rules } = MESSAGES

/** Adds `app.tokens`. */
export default fp(
  async app => {
    const { config, clock, random } = app
    const { kysely } = app.database
    const types = config.tokenableTypes

    const ownerOf = (request: FastifyRequest) => ({ userId: (request.identity as Identity).user.id, types })

    /** The token that bounds what another one may be; null for a session. */
    const boundOf = ({ identity }: FastifyRequest): AccessToken | null =>
      identity?.via === 'token' ? identity.token : null

    /** Whether a token may give abilities, where they count. */
    const mayGive = (bound: AccessToken | null, abilities: readonly string[]): boolean =>
      bound === null || !config.tokenAbilities || covers(bound.abilities, abilities)

    const authorityOf = (request: FastifyRequest): Authority => {
      const identity = request.identity as Identity
      return identity.via === 'token'
        ? { tokenId: identity.token.id }
        : { session: identity.session.id.digest() }
    }

    /** The id of a token that was issued. @throws {HttpError} for the reason why none was */
    const issued = (result: number | NotIssued): number => {
      if (result === 'no authority') throw unauthenticated()
      if (result === 'too many') throw forbidden(MESSAGES.tooManyTokens(config.tokensPerUser))
      if (result === 'no such token') throw notFound()
      return result
    }

    const newToken = (
      request: FastifyRequest,
      secret: TokenSecret,
      token: Pick<NewToken, 'name' | 'abilities' | 'allowedIps' | 'expiresAt'>,
    ): NewToken => ({
      ...token,
      userId: ownerOf(request).userId,
      userType: types[0],
      digest: secret.digest(),
      now: clock(),
    })

    app.decorate('tokens', {
      async issue(request, { name, abilities, allowed_ips: addresses, expires_at: until }) {
        const bound = boundOf(request)
        const own = bound?.abilities ?? [ALL_ABILITIES]
        const wanted = [...new Set(abilities ?? own)]
        const asked = until === undefined || until === null ? null : isoToMillis(until)
        // Whoever ends at some time can give nobody more time.
        const expiresAt = asked ?? bound?.endsAt ?? null
        const allowedIps = addresses ?? bound?.allowedIps ?? null
        const errors = errorsByField({
          allowed_ips:
            allowedIps !== null && !allowedIps.every(isAddressOrRange)
              ? [rules.addresses('allowed ips')]
              : isWithin(bound, allowedIps)
                ? []
                : [rules.notBeyond('allowed ips')],
          abilities: mayGive(bound, wanted) ? [] : [rules.notBeyond('abilities')],
          expires_at: Number.isNaN(expiresAt)
            ? [rules.isoDate('expires at')]
            : expiresAt !== null && expiresAt <= clock()
              ? [rules.future('expires at')]
              : bound !== null && bound.endsAt !== null && expiresAt !== null && expiresAt > bound.endsAt
                ? [rules.notBeyond('expires at')]
                : [],
        })
        if (errors !== null) throw unprocessable(errors)

        const secret = mintSecret(config.tokenPrefix, random)
        const row = newToken(request, secret, { name, abilities: wanted, allowedIps, expiresAt })
        const authority = authorityOf(request)
        const id = issued(await issueToken(kysely, row, types, { authority, most: config.tokensPerUser }))
        request.record('token created', { userId: row.userId, tokenId: id, name })
        return { id, plain: new PlainToken(id, secret) }
      },
      async rotate(request, id, grace) {
        const owner = ownerOf(request)
        const bound = boundOf(request)
        const secret = mintSecret(config.tokenPrefix, random)
        const successor = ({ name, abilities: stored, allowedIps, expiresAt }: Predecessor) => {
          const abilities = parseAbilities(stored)
          if (!mayGive(bound, abilities) || !isWithin(bound, allowedIps))
            throw forbidden(MESSAGES.invalidAbility)
          const end = Math.min(
            expiresAt ?? Number.POSITIVE_INFINITY,
            bound?.endsAt ?? Number.POSITIVE_INFINITY,
          )
          if (!(end > clock())) throw unprocessable({ token: [MESSAGES.tokenEnded] })
          return newToken(request, secret, {
            name,
            abilities,
            allowedIps,
            expiresAt: end === Number.POSITIVE_INFINITY ? null : end,
          })
        }
        const graceUntil = grace === 0 ? null : clock() + grace * 1000
        const authority = authorityOf(request)
        const most = config.tokensPerUser
        const newId = issued(
          await replaceToken(kysely, owner, id, { successor, graceUntil, authority, most }),
        )
        request.record('token rotated', { userId: owner.userId, tokenId: newId, before: id, grace })
        return { id: newId, plain: new PlainToken(newId, secret) }
      },
      async rename(request, id, name) {
        const owner = ownerOf(request)
        if (!(await renameToken(kysely, owner, id, { name, now: clock() }))) throw notFound()
        request.record('token renamed', { userId: owner.userId, tokenId: id, name })
      },
      async revoke(request, which, what) {
        const owner = ownerOf(request)
        const count = await deleteOwnTokens(kysely, owner, which)
        if (count > 0) request.record('token revoked', { userId: owner.userId, which: what, count })
        return count
      },
    })
  },
  { name: 'tokens', dependencies: ['database', 'events'] },
)

/** Whether a token may be used from nowhere else than the one that bounds it. */
const isWithin = (bound: AccessToken | null, allowedIps: readonly string[] | null): boolean =>
  bound === null ||
  bound.allowedIps === null ||
  (allowedIps !== null && containsRanges(bound.allowedIps, allowedIps))
