import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isTicked } from '#src/input/account.ts'
import { HIDDEN, PUBLIC } from '#src/panel/access.ts'
import { InvalidSecurityLink, NotMe, Secured } from '#src/panel/pages/not-me.tsx'

/** Open to banned users as well: the token authorizes the action. */
const access = { ...PUBLIC, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'This was not me'

const notMe: FastifyPluginAsyncTypebox = async app => {
  const refuse = (reply: FastifyReply) => reply.code(404).sendPage({ title: TITLE }, <InvalidSecurityLink />)

  app.get(
    '/not-me',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const link = await app.accounts.findSecurityLink(request, request.query.token)
      if (link === null) return refuse(reply)
      return reply.sendPage({ title: TITLE }, <NotMe name={link.name} token={link.token.reveal()} />)
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
      const revokesTokens = isTicked(request.body.revoke_tokens)
      const secured = await app.accounts.secure(request, request.body.token, { revokesTokens })
      if (secured === null) return refuse(reply)
      const { tokens, isMailed } = secured
      return reply.sendPage(
        { title: TITLE },
        <Secured tokens={revokesTokens ? tokens : null} isMailed={isMailed} />,
      )
    },
  )
}

export default notMe
