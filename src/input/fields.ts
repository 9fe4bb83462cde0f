import { Type } from 'typebox'
import { rowIdParameter } from './row-id.ts'
import { MAX_TOKEN_NAME } from './token.ts'

/** An optional text field. The use-case checks that it is present, so that all errors are reported together. */
export const optionalText = (example: string) =>
  Type.Optional(Type.Union([Type.String({ examples: [example] }), Type.Null()]))

/** The field of a login that requests a remembered device. */
export const Remember = Type.Optional(
  Type.Unknown({
    description:
      'Whether this browser stays logged in when its session ends, for 400 days: `true`, `1`, `on` or `yes`.',
    examples: [true],
  }),
)

/** The field of a new password that decides about the user's tokens. */
export const RevokeTokens = Type.Optional(
  Type.Union([Type.Boolean(), Type.Null()], {
    description:
      "Whether to revoke the user's tokens as well; REVOKE_TOKENS_ON_PASSWORD_CHANGE unless it is given.",
    examples: [false],
  }),
)

export const TokenPath = Type.Object({
  token: rowIdParameter("The token's id, the number before the `|`.", '42'),
})

/** A token's name. PostgreSQL cannot store a NUL. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: MAX_TOKEN_NAME,
  pattern: '^[^\\u0000]*$',
  examples: ['laptop'],
})
