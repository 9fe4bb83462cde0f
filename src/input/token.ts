import { Type } from 'typebox'
import { KNOWN_ABILITIES } from '#src/auth/ability.ts'
import type { Seconds } from '#src/runtime/units.ts'

/** Maximum number of addresses and ranges of a token. */
export const MAX_ADDRESSES = 50

/** Maximum time that a rotated token stays valid: a week. */
export const MAX_GRACE_S: Seconds = 604_800

/** Maximum length of a token's name, in characters. */
export const MAX_TOKEN_NAME = 255

const MAX_ABILITIES = 100

const Abilities = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
  maxItems: MAX_ABILITIES,
  description: `The abilities of the token: ${KNOWN_ABILITIES.map(ability => `\`${ability}\``).join(', ')}. All abilities of the caller by default.`,
  examples: [['read:playlist']],
})

const AllowedIps = Type.Array(Type.String({ minLength: 1, maxLength: 50 }), {
  minItems: 1,
  maxItems: MAX_ADDRESSES,
  description: 'The addresses and ranges from which the token may be used. All addresses by default.',
  examples: [['192.0.2.0/24', '2001:db8::1']],
})

const ExpiresAt = Type.String({
  description: 'The expiry in ISO 8601, in UTC without an offset.',
  examples: ['2027-01-31T12:00:00Z'],
})

/** The optional fields of a new token. */
export const TOKEN_TERMS = {
  abilities: Type.Optional(Type.Union([Abilities, Type.Null()])),
  allowed_ips: Type.Optional(Type.Union([AllowedIps, Type.Null()])),
  expires_at: Type.Optional(Type.Union([ExpiresAt, Type.Null()])),
}
