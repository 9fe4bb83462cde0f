import { ALL_ABILITIES, covers, unknownAbilities } from '#src/auth/ability.ts'
import { containsRanges, isAddressOrRange } from '#src/auth/address-list.ts'
import type { AccessToken } from '#src/auth/identity.ts'
import { isoToMillis } from '#src/auth/time.ts'
import { parseAbilities } from '#src/auth/token.ts'
import type { Config } from '#src/config/config.ts'
import type { NewToken, Predecessor } from '#src/database/tokens.ts'
import { errorsByField } from '#src/input/account.ts'
import { forbidden, unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Authority } from './grantor.ts'

/** A token that is asked for; what is null or absent is as whoever asks has it. */
export interface WantedToken {
  name: string
  abilities?: readonly string[] | null
  allowed_ips?: readonly string[] | null
  /** ISO 8601, in UTC unless an offset is given. */
  expires_at?: string | null
}

/** What bounds the tokens that somebody has issued. */
export interface TokenBounds {
  /** The token that asks, beyond which no other one may go; null for a session and for an operator. */
  token: AccessToken | null
  /** Whether abilities count, and so may not go beyond those of the token that asks. */
  checksAbilities: boolean
  /** How many tokens the user may have; null for any number. */
  most: number | null
  /** Whether abilities are stored that nothing here asks for. */
  allowsUnknownAbilities: boolean
}

type Terms = Pick<NewToken, 'name' | 'abilities' | 'allowedIps' | 'expiresAt'>

const { rules } = MESSAGES

/**
 * What bounds the tokens that somebody has issued: nothing those of an operator.
 *
 * @throws {HttpError} 403 for a user whose e-mail address is not verified
 */
export function tokenBounds(
  authority: Authority,
  { tokenAbilities, tokensPerUser }: Pick<Config, 'tokenAbilities' | 'tokensPerUser'>,
): TokenBounds {
  if (authority.via === 'operator') {
    return { token: null, checksAbilities: false, most: null, allowsUnknownAbilities: true }
  }
  const { user } = authority
  if (user.emailVerifiedAt === null) throw forbidden(MESSAGES.unverifiedEmail)
  return {
    token: authority.via === 'token' ? authority.token : null,
    checksAbilities: tokenAbilities,
    most: tokensPerUser,
    allowsUnknownAbilities: false,
  }
}

/**
 * What a new token is.
 *
 * @param now milliseconds since the epoch
 * @throws {HttpError} 422 for what is not valid, or goes beyond the bounds
 */
export function wantedTerms(
  bounds: TokenBounds,
  { name, abilities: asked, allowed_ips: addresses, expires_at: until }: WantedToken,
  now: number,
): Terms {
  const { token: bound, allowsUnknownAbilities } = bounds
  const abilities = [...new Set(asked ?? bound?.abilities ?? [ALL_ABILITIES])]
  // A token that Laravel issued may have others, and passes them on.
  const unknown = allowsUnknownAbilities ? [] : unknownAbilities(asked ?? [])
  const allowedIps = addresses ?? bound?.allowedIps ?? null
  const end = until === undefined || until === null ? null : isoToMillis(until)
  const expiresAt = end ?? bound?.endsAt ?? null
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
        : mayGive(bounds, abilities)
          ? []
          : [rules.notBeyond('abilities')],
    expires_at: Number.isNaN(expiresAt)
      ? [rules.isoDate('expires at')]
      : expiresAt !== null && expiresAt <= now
        ? [rules.future('expires at')]
        : bound !== null && bound.endsAt !== null && expiresAt !== null && expiresAt > bound.endsAt
          ? [rules.notBeyond('expires at')]
          : [],
  })
  if (errors !== null) throw unprocessable(errors)
  return { name, abilities, allowedIps, expiresAt }
}

/**
 * What may be put in the place of a token.
 *
 * @param now milliseconds since the epoch
 * @throws {HttpError} 403 for a token that goes beyond the bounds, 422 for one that has ended
 */
export function successorTerms(
  bounds: TokenBounds,
  { name, abilities: stored, allowedIps, expiresAt }: Predecessor,
  now: number,
): Terms {
  const { token: bound } = bounds
  const abilities = parseAbilities(stored)
  if (!mayGive(bounds, abilities) || !isWithin(bound, allowedIps)) throw forbidden(MESSAGES.invalidAbility)
  const end = Math.min(expiresAt ?? Number.POSITIVE_INFINITY, bound?.endsAt ?? Number.POSITIVE_INFINITY)
  if (!(end > now)) throw unprocessable({ token: [MESSAGES.tokenEnded] })
  return { name, abilities, allowedIps, expiresAt: end === Number.POSITIVE_INFINITY ? null : end }
}

/** Whether a token may have abilities. */
const mayGive = ({ token, checksAbilities }: TokenBounds, abilities: readonly string[]): boolean =>
  token === null || !checksAbilities || covers(token.abilities, abilities)

/** Whether a token may be used from nowhere else than the one that bounds it. */
const isWithin = (bound: AccessToken | null, allowedIps: readonly string[] | null): boolean =>
  bound === null ||
  bound.allowedIps === null ||
  (allowedIps !== null && containsRanges(bound.allowedIps, allowedIps))
