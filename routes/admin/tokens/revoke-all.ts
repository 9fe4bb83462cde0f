import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { findTokensEndingWith } from '#src/database/token-endings.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildRevokeAllConfirmation } from '#src/panel/confirmations/tokens.tsx'
import { TOKENS_PATH } from '#src/panel/paths.ts'
import { ownerOf } from '#src/panel/token-pages.tsx'

const revoking: FastifyPluginAsyncTypebox = async app => {
  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const ending = await findTokensEndingWith(app.database.kysely, ownerOf(request, app), { except: null })
    return ending.length === 0 ? { unchanged: TOKENS_PATH } : buildRevokeAllConfirmation(ending)
  }

  app.post(
    '/revoke-all',
    { config: { access: LOGGED_IN, confirmation: confirmationFor }, schema: HIDDEN },
    async (request, reply) => {
      await app.tokens.revoke(request, { except: null }, 'all')
      return reply.redirectWithFlash(TOKENS_PATH, 'tokens-revoked')
    },
  )
}

export default revoking
