import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { titleOf } from '#src/input/list.ts'
import { MAX_ADDRESSES, TokenName } from '#src/input/token.ts'
import { OptionalPassword, reading } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN, WITH_PASSWORD } from '#src/panel/access.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import { showingIssued, showingTokens } from '#src/panel/token-pages.tsx'
import { PRESETS, SCOPES, TICKED } from '#src/panel/token-scopes.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Text = Type.Optional(Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]))

const Wanted = Type.Object({
  name: TokenName,
  scope: Type.Enum([...SCOPES]),
  abilities: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 })),
  allowed_ips: Text,
  expires_at: Text,
  current_password: OptionalPassword,
})

/** The lines, or the words, of a text; null for none. */
function wordsOf(text: string | null | undefined): string[] | null {
  const words = text?.split(/[\s,]+/).filter(Boolean) ?? []
  return words.length === 0 ? null : words
}

/** The token that a form asks for. @throws {HttpError} 422 for fields that contradict each other, or too many addresses */
function wantedToken(body: Type.Static<typeof Wanted>) {
  const { name, scope, abilities = [], allowed_ips, expires_at } = body
  if (scope !== TICKED && abilities.length > 0) {
    throw unprocessable({ abilities: [MESSAGES.ticksBesideScope] })
  }
  const addresses = wordsOf(allowed_ips)
  if (addresses !== null && addresses.length > MAX_ADDRESSES) {
    throw unprocessable({ allowed_ips: [MESSAGES.rules.maxItems('allowed ips', MAX_ADDRESSES)] })
  }
  return {
    name,
    abilities: scope === TICKED ? abilities : PRESETS[scope].abilities,
    allowed_ips: addresses,
    expires_at,
  }
}

/** The user's tokens, and the form for another one. */
const tokens: FastifyPluginAsyncTypebox = async app => {
  const show = showingTokens(app)
  const showIssued = showingIssued(app)

  app.get('', { config: { access: LOGGED_IN }, schema: HIDDEN }, (request, reply) => show(request, reply))

  app.post(
    '/tokens',
    {
      config: { access: WITH_PASSWORD },
      schema: { ...HIDDEN, body: Wanted },
      preValidation: reading({ name: titleOf }),
      errorHandler: rerenderForm(show),
    },
    async (request, reply) =>
      showIssued(request, reply, await app.tokens.issue(request, wantedToken(request.body))),
  )
}

export default tokens
