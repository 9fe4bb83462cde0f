import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { TokenName } from '#src/input/fields.ts'
import { toTitle } from '#src/input/list.ts'
import { MAX_ADDRESSES } from '#src/input/token.ts'
import { convertFields, OptionalPassword } from '#src/input/values.ts'
import { ABILITY_CHOICES, CUSTOM, PRESETS } from '#src/panel/ability-presets.ts'
import { HIDDEN, LOGGED_IN, WITH_PASSWORD } from '#src/panel/access.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import { issuedTokenPage, tokenListPage } from '#src/panel/token-pages.tsx'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Text = Type.Optional(Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]))

const IssueBody = Type.Object({
  name: TokenName,
  scope: Type.Enum([...ABILITY_CHOICES]),
  abilities: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 })),
  allowed_ips: Text,
  expires_at: Text,
  current_password: OptionalPassword,
})

/** Splits a text at white space and commas; null for an empty one. */
function splitWords(text: string | null | undefined): string[] | null {
  const words = text?.split(/[\s,]+/).filter(Boolean) ?? []
  return words.length === 0 ? null : words
}

/** Returns the token that a form requests. @throws {HttpError} 422 for contradictory fields, or too many addresses */
function readToken(body: Type.Static<typeof IssueBody>) {
  const { name, scope, abilities = [], allowed_ips, expires_at } = body
  if (scope !== CUSTOM && abilities.length > 0) {
    throw unprocessable({ abilities: [MESSAGES.ticksBesideScope] })
  }
  const addresses = splitWords(allowed_ips)
  if (addresses !== null && addresses.length > MAX_ADDRESSES) {
    throw unprocessable({ allowed_ips: [MESSAGES.rules.maxItems('allowed ips', MAX_ADDRESSES)] })
  }
  return {
    name,
    abilities: scope === CUSTOM ? abilities : PRESETS[scope].abilities,
    allowed_ips: addresses,
    expires_at,
  }
}

/** Lists the user's tokens, and issues new ones. */
const tokens: FastifyPluginAsyncTypebox = async app => {
  const show = tokenListPage(app)
  const showIssued = issuedTokenPage(app)

  app.get('', { config: { access: LOGGED_IN }, schema: HIDDEN }, (request, reply) => show(request, reply))

  app.post(
    '/tokens',
    {
      config: { access: WITH_PASSWORD },
      schema: { ...HIDDEN, body: IssueBody },
      preValidation: convertFields({ name: toTitle }),
      errorHandler: rerenderForm(show),
    },
    async (request, reply) =>
      showIssued(request, reply, await app.tokens.issue(request, readToken(request.body))),
  )
}

export default tokens
