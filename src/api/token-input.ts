import { Type } from 'typebox'

/** Seconds for which a token can live on after it was rotated: a week. */
export const MAX_GRACE_S = 604_800

/** What a token can be called. PostgreSQL keeps no text with a NUL. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[^\\u0000]*$',
  examples: ['laptop'],
})
