import { Type } from 'typebox'
import { documentAs } from './documented.ts'
import { NOT_BLANK } from './list.ts'
import { rowIdParameter } from './row-id.ts'
import { MAX_TOKEN_NAME } from './token.ts'
import { EnteredPassword } from './values.ts'

/** An optional text field. */
export const optionalText = (example: string) =>
  Type.Optional(Type.Union([Type.String({ examples: [example] }), Type.Null()]))

/** A text field. The use-case checks that it is present, so that all errors are reported together. */
export const requiredText = (example: string) =>
  documentAs(optionalText(example), { schema: { type: 'string', examples: [example] }, isRequired: true })

/** A password. The use-case checks that it is present, so that all errors are reported together. */
export const RequiredPassword = documentAs(Type.Optional(Type.Union([EnteredPassword, Type.Null()])), {
  schema: EnteredPassword,
  isRequired: true,
})

/** A field that is on for `true`, `1`, `on` and `yes`, and off for everything else. */
export const checkbox = (description: string, example: boolean) =>
  documentAs(Type.Optional(Type.Unknown({ description, examples: [example] })), {
    schema: { type: ['boolean', 'integer', 'string', 'null'] },
  })

/** The field of a login that requests a remembered device. */
export const Remember = checkbox(
  'Whether this browser stays logged in when its session ends, for 400 days: `true`, `1`, `on` or `yes`.',
  true,
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

/** A token's name. */
export const TokenName = Type.String({
  minLength: 1,
  maxLength: MAX_TOKEN_NAME,
  pattern: NOT_BLANK,
  examples: ['laptop'],
})
