import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { TokenName } from '#src/input/fields.ts'
import { toTitle } from '#src/input/list.ts'
import { MAX_GRACE_S } from '#src/input/token.ts'
import { convertFields, OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN, WITH_PASSWORD } from '#src/panel/access.ts'
import { tokenPath } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import { issuedTokenPage, TokenParams, tokenIdOf, tokenPage } from '#src/panel/token-pages.tsx'

const NewName = Type.Object({ name: TokenName })

const Rotation = Type.Object({
  grace: Type.Optional(Type.Union([Type.String({ pattern: '^\\d{1,6}$' }), Type.Null()])),
  current_password: OptionalPassword,
})

/** Shows, renames and replaces one of the user's tokens. */
const token: FastifyPluginAsyncTypebox = async app => {
  const show = tokenPage(app)
  const showIssued = issuedTokenPage(app)
  const schema = { ...HIDDEN, params: TokenParams }

  app.get('', { config: { access: LOGGED_IN }, schema }, (request, reply) => show(request, reply))

  app.post(
    '/rename',
    {
      config: { access: LOGGED_IN },
      schema: { ...schema, body: NewName },
      preValidation: convertFields({ name: toTitle }),
      errorHandler: rerenderForm((request, reply, formState) =>
        show(request, reply, { rename: formState, problem: formState.problem }),
      ),
    },
    async (request, reply) => {
      const id = tokenIdOf(request)
      await app.tokens.rename(request, id, request.body.name)
      return reply.redirectWithFlash(tokenPath(id), 'token-renamed')
    },
  )

  app.post(
    '/rotate',
    {
      config: { access: WITH_PASSWORD },
      schema: { ...schema, body: Rotation },
      errorHandler: rerenderForm((request, reply, formState) =>
        show(request, reply, { rotate: formState, problem: formState.problem }),
      ),
    },
    async (request, reply) => {
      const grace = Math.min(Number(request.body.grace ?? 0), MAX_GRACE_S)
      return showIssued(request, reply, await app.tokens.rotate(request, tokenIdOf(request), grace))
    },
  )
}

export default token
