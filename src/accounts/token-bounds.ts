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
import type { EpochMillis } from '#src/runtime/units.ts'
import type { Authority, LoginAuthority } from './grantor.ts'

/** The input for a new token. Null or absent fields are inherited from the issuing token. */
export interface WantedToken {
  name: string
  abilities?: readonly string[] | null
  allowed_ips?: readonly string[] | null
  /** ISO 8601, in UTC unless it has an offset. */
  expires_at?: string | null
}

/** The bounds of the tokens that a caller may issue. */
export interface TokenBounds {
  /** The issuing token, which bounds its successors; null for a session and for an operator. */
  token: AccessToken | null
  /** Whether abilities are enforced, so that a new token's must be covered by those of the issuing token. */
  checksAbilities: boolean
  /** The maximum number of tokens of the user; null for unlimited. */
  maxTokens: number | null
  /** Whether abilities that no route requires may be stored. */
  allowsUnknownAbilities: boolean
}

type Terms = Pick<NewToken, 'name' | 'abilities' | 'allowedIps' | 'expiresAt'>

const { rules } = MESSAGES

/**
 * Returns the bounds of the tokens that a caller may issue. An operator's are unbounded.
 *
 * @throws {HttpError} 403 for a user whose e-mail address is not verified
 */
export function tokenBounds(
  authority: Authority | LoginAuthority,
  { tokenAbilities, tokensPerUser }: Pick<Config, 'tokenAbilities' | 'tokensPerUser'>,
): TokenBounds {
  if (authority.via === 'operator') {
    return { token: null, checksAbilities: false, maxTokens: null, allowsUnknownAbilities: true }
  }
  const { user } = authority
  if (user.emailVerifiedAt === null) throw forbidden(MESSAGES.unverifiedEmail)
  return {
    token: authority.via === 'token' ? authority.token : null,
    checksAbilities: tokenAbilities,
    maxTokens: tokensPerUser,
    allowsUnknownAbilities: false,
  }
}

/**
 * Validates the input for a new token against the bounds.
 *
 * @throws {HttpError} 422 for input that is not valid or exceeds the bounds
 */
export function wantedTerms(
  bounds: TokenBounds,
  { name, abilities: enteredAbilities, allowed_ips: addresses, expires_at: until }: WantedToken,
  now: EpochMillis,
): Terms {
  const { token: bound, allowsUnknownAbilities } = bounds
  const abilities = [...new Set(enteredAbilities ?? bound?.abilities ?? [ALL_ABILITIES])]
  // Only entered abilities are checked: a token that Laravel issued may have others, and passes them on.
  const unknown = allowsUnknownAbilities ? [] : unknownAbilities(enteredAbilities ?? [])
  const allowedIps = addresses ?? bound?.allowedIps ?? null
  const end = until === undefined || until === null ? null : isoToMillis(until)
  const expiresAt = end ?? bound?.endsAt ?? null
  const errors = errorsByField({
    allowed_ips:
      allowedIps !== null && !allowedIps.every(isAddressOrRange)
        ? [rules.addresses('allowed ips')]
        : coversAddresses(bound, allowedIps)
          ? []
          : [rules.notBeyond('allowed ips')],
    abilities:
      unknown.length > 0
        ? [rules.abilities(unknown)]
        : coversAbilities(bounds, abilities)
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
 * Returns the terms of the token that replaces another one.
 *
 * @throws {HttpError} 403 for a token that exceeds the bounds, 422 for one that has ended
 */
export function successorTerms(
  bounds: TokenBounds,
  { name, abilities: stored, allowedIps, expiresAt }: Predecessor,
  now: EpochMillis,
): Terms {
  const { token: bound } = bounds
  const abilities = parseAbilities(stored)
  if (!coversAbilities(bounds, abilities) || !coversAddresses(bound, allowedIps))
    throw forbidden(MESSAGES.invalidAbility)
  const end = Math.min(expiresAt ?? Number.POSITIVE_INFINITY, bound?.endsAt ?? Number.POSITIVE_INFINITY)
  if (!(end > now)) throw unprocessable({ token: [MESSAGES.tokenEnded] })
  return { name, abilities, allowedIps, expiresAt: end === Number.POSITIVE_INFINITY ? null : end }
}

/** Whether the bounds cover a token's abilities. */
const coversAbilities = ({ token, checksAbilities }: TokenBounds, abilities: readonly string[]): boolean =>
  token === null || !checksAbilities || covers(token.abilities, abilities)

/** Whether the bounds cover the addresses of a token. */
const coversAddresses = (bound: AccessToken | null, allowedIps: readonly string[] | null): boolean =>
  bound === null ||
  bound.allowedIps === null ||
  (allowedIps !== null && containsRanges(bound.allowedIps, allowedIps))
