import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isYes } from '#src/input/account.ts'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { NotMe, NotMeImpossible, Secured } from '#src/panel/pages/not-me.tsx'

/** Users who may do nothing else can end what is not theirs as well: what counts is the token. */
const access = { ...ANYBODY, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'This was not me'

const notMe: FastifyPluginAsyncTypebox = async app => {
  const refuse = (reply: FastifyReply) => reply.code(404).page({ title: TITLE }, <NotMeImpossible />)

  app.get(
    '/not-me',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const link = await app.accounts.findSecurityLink(request, request.query.token)
      if (link === null) return refuse(reply)
      return reply.page({ title: TITLE }, <NotMe name={link.name} token={link.token.reveal()} />)
    },
  )

  app.post(
    '/not-me',
    {
      config: { access },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          token: Type.Optional(Type.Unknown()),
          revoke_tokens: Type.Optional(Type.Unknown()),
        }),
      },
    },
    async (request, reply) => {
      const revokesTokens = isYes(request.body.revoke_tokens)
      const secured = await app.accounts.secure(request, request.body.token, { revokesTokens })
      if (secured === null) return refuse(reply)
      const { tokens, isMailed } = secured
      return reply.page(
        { title: TITLE },
        <Secured tokens={revokesTokens ? tokens : null} isMailed={isMailed} />,
      )
    },
  )
}

export default notMe
