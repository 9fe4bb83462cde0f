import { Type } from 'typebox'

/** From how many addresses and ranges a token can be used. */
export const MAX_ADDRESSES = 50

/** Seconds for which a token can live on after it was rotated: a week. */
export const MAX_GRACE_S = 604_800

/** The most characters of what a token is called. */
export const MAX_TOKEN_NAME = 255

/** The path of one of the user's tokens. */
export const TokenPath = Type.Object({
  token: Type.String({ description: "The token's id, which stands before the `|`.", examples: ['42'] }),
})

/** What a token can be called. PostgreSQL keeps no text with a NUL. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: MAX_TOKEN_NAME,
  pattern: '^[^\\u0000]*$',
  examples: ['laptop'],
})
