import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { findTokensEndingWith } from '#src/database/token-endings.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildRevocationConfirmation } from '#src/panel/confirmations/tokens.tsx'
import { TOKENS_PATH } from '#src/panel/paths.ts'
import { ownerOf, TokenParams, tokenIdOf } from '#src/panel/token-pages.tsx'
import { notFound } from '#src/responses/errors.ts'

const revoking: FastifyPluginAsyncTypebox = async app => {
  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const id = tokenIdOf(request)
    const ending = await findTokensEndingWith(app.database.kysely, ownerOf(request, app), { id })
    const token = ending.find(each => each.id === id)
    if (token === undefined) throw notFound()
    return buildRevocationConfirmation(token, ending)
  }

  app.post(
    '/revoke',
    {
      config: { access: LOGGED_IN, confirmation: confirmationFor },
      schema: { ...HIDDEN, params: TokenParams },
    },
    async (request, reply) => {
      const id = tokenIdOf(request)
      if ((await app.tokens.revoke(request, { id }, id)) === 0) throw notFound()
      return reply.redirectWithFlash(TOKENS_PATH, 'token-revoked')
    },
  )
}

export default revoking
