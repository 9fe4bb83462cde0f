import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { EmailReverted, RevertEmail, RevertImpossible } from '#src/panel/pages/revert-email.tsx'

/** Users who may do nothing else can bring their address back as well: what counts is the token. */
const access = { ...ANYBODY, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'Your old e-mail address'

const OVER =
  'This link counts no more: it was used, is older than seven days, or was replaced by a later revert.'
const TAKEN = 'Another account uses this address by now. Tell those who run the place.'

const revert: FastifyPluginAsyncTypebox = async app => {
  const refuse = (reply: FastifyReply, status: number, reason: string) =>
    reply.code(status).page({ title: TITLE }, <RevertImpossible reason={reason} />)

  app.get(
    '/revert-email',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const found = await app.email.findRevert(request.query.token)
      if (found === null) return refuse(reply, 404, OVER)
      return reply.page({ title: TITLE }, <RevertEmail email={found.email} token={found.token.reveal()} />)
    },
  )

  app.post(
    '/revert-email',
    {
      config: { access },
      schema: { ...HIDDEN, body: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const reverted = await app.email.revert(request, request.body.token)
      if (reverted === 'over') return refuse(reply, 404, OVER)
      if (reverted === 'taken') return refuse(reply, 409, TAKEN)
      return reply.page({ title: TITLE }, <EmailReverted email={reverted.email} />)
    },
  )
}

export default revert
