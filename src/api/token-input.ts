import { Type } from 'typebox'

/** From how many addresses and ranges a token can be used. */
export const MAX_ADDRESSES = 50

/** Seconds for which a token can live on after it was rotated: a week. */
export const MAX_GRACE_S = 604_800

/** What a token can be called. PostgreSQL keeps no text with a NUL. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[^\\u0000]*$',
  examples: ['laptop'],
})
