import type { Seconds } from '#src/runtime/units.ts'

/** Maximum number of addresses and ranges of a token. */
export const MAX_ADDRESSES = 50

/** Maximum time that a rotated token stays valid: a week. */
export const MAX_GRACE_S: Seconds = 604_800

/** Maximum length of a token's name, in characters. */
export const MAX_TOKEN_NAME = 255
