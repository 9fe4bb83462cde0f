import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { HIDDEN, PUBLIC } from '#src/panel/access.ts'
import { EmailReverted, RevertEmail, RevertRefused } from '#src/panel/pages/revert-email.tsx'

/** Open to banned users as well: the token authorizes the action. */
const access = { ...PUBLIC, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'Restore your e-mail address'

const INVALID =
  'This link is no longer valid: it was used, is older than seven days, or a later change was reverted.'
const TAKEN = 'Another account now uses this address. Please contact the site staff.'

const revert: FastifyPluginAsyncTypebox = async app => {
  const refuse = (reply: FastifyReply, status: number, reason: string) =>
    reply.code(status).sendPage({ title: TITLE }, <RevertRefused reason={reason} />)

  app.get(
    '/revert-email',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const found = await app.email.findRevert(request.query.token)
      if (found === null) return refuse(reply, 404, INVALID)
      return reply.sendPage(
        { title: TITLE },
        <RevertEmail email={found.email} token={found.token.reveal()} />,
      )
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
      if (reverted === 'over') return refuse(reply, 404, INVALID)
      if (reverted === 'taken') return refuse(reply, 409, TAKEN)
      return reply.sendPage({ title: TITLE }, <EmailReverted email={reverted.email} />)
    },
  )
}

export default revert
