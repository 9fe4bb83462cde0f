import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { noContent } from '#src/api/responses.ts'
import { revokedDetails } from '#src/auth/events.ts'
import { parseToken } from '#src/auth/token.ts'
import { deleteReportedTokens, findReportedToken } from '#src/database/token-endings.ts'

const Body = Type.Object({
  token: Type.String({
    maxLength: 4096,
    description: 'As it was found, `{id}|{secret}` or the secret alone.',
    examples: ['42|gkeZ2Vk1TzAVksSA9sQEkyM9EaEvyDaTaK4eEBPk0eeb2480'],
  }),
})

const leakedToken: FastifyPluginAsyncTypebox = async app => {
  if (!app.config.leakedTokens) return
  const { kysely } = app.database

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
        response: {
          204: noContent('If it was a token, it is revoked, with its successor and all that they issued.'),
        },
      },
    },
    async (request, reply) => {
      const credential = parseToken(request.body.token)
      if (credential === null) return reply.code(204).send(null)
      const { digest } = credential
      const { reported } = await app.attempts.guess(request, digest, async () => {
        const reported = await findReportedToken(kysely, digest, app.config.tokenableTypes)
        return { isRight: reported !== null, reported }
      })
      if (reported === null) return reply.code(204).send(null)
      const ended = await deleteReportedTokens(kysely, reported.ownerId, digest)
      if (ended.length > 0) {
        const user = (reported.isUsers && (await app.identities.user(reported.ownerId))?.user) || null
        request.record('token revoked', {
          userId: user?.id ?? null,
          which: reported.id,
          ...revokedDetails(ended),
          cause: 'leaked',
        })
        if (user !== null) await app.mail.notify('tokenLeaked', user, text => text(user))
      }
      return reply.code(204).send(null)
    },
  )
}

export default leakedToken
