import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContent } from '../../src/api/responses.ts'
import { revokedDetails } from '../../src/auth/events.ts'
import { equalSecrets } from '../../src/auth/secret.ts'
import { parseToken } from '../../src/auth/token.ts'
import { deleteToken } from '../../src/database/tokens.ts'

const Body = Type.Object({
  token: Type.String({
    maxLength: 4096,
    description: 'As it was found, `{id}|{secret}` or the secret alone.',
    examples: ['42|gkeZ2Vk1TzAVksSA9sQEkyM9EaEvyDaTaK4eEBPk0eeb2480'],
  }),
})

const leakedToken: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.leakedTokens) return

  app.post(
    '/leaked-token',
    {
      config: { access: { auth: 'none', via: 'token' } },
      schema: {
        operationId: 'leaked-token',
        tags: ['token'],
        summary: 'Revoke a token that was found',
        description:
          'For scanners of leaked secrets, and whoever else finds one. Its user is told by mail. The answer is the same whether it was a token or not.',
        body: Body,
        response: { 204: noContent('If it was a token, it is revoked, with all that it issued.') },
      },
    },
    async (request, reply) => {
      const credential = parseToken(request.body.token)
      if (credential === null) return reply.code(204).send(null)
      const { stored } = await app.attempts.guess(request, credential.digest, async () => {
        const stored = await app.identities.token(credential, request.raw.socket)
        const isRight = stored !== null && equalSecrets(stored.digest, credential.digest)
        return { isRight, stored: isRight ? stored : null }
      })
      const ended = stored === null ? [] : await deleteToken(app.database.kysely, String(stored.id))
      if (stored !== null && ended.length > 0) {
        const user = stored.owner?.user ?? null
        request.record('token revoked', {
          userId: user?.id ?? null,
          which: stored.id,
          ...revokedDetails(ended),
          cause: 'leaked',
        })
        if (user !== null) await app.mail.notify('tokenLeaked', user)
      }
      return reply.code(204).send(null)
    },
  )
}

export default leakedToken
