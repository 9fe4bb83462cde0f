import { Type } from 'typebox'
import type { Seconds } from '#src/runtime/units.ts'

/** Maximum number of addresses and ranges of a token. */
export const MAX_ADDRESSES = 50

/** Maximum time that a rotated token stays valid: a week. */
export const MAX_GRACE_S: Seconds = 604_800

/** Maximum length of a token's name, in characters. */
export const MAX_TOKEN_NAME = 255

export const TokenPath = Type.Object({
  token: Type.String({ description: "The token's id, the number before the `|`.", examples: ['42'] }),
})

/** A token's name. PostgreSQL cannot store a NUL. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: MAX_TOKEN_NAME,
  pattern: '^[^\\u0000]*$',
  examples: ['laptop'],
})
