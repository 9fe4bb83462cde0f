import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { hashResetToken, mintResetToken } from '#src/auth/reset-token.ts'
import { parseRevertToken } from '#src/auth/revert-token.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { findEmailRevert, revertEmail } from '#src/database/email-changes.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { EmailReverted, RevertEmail, RevertImpossible } from '#src/panel/pages/revert-email.tsx'

/** Users who may do nothing else can bring their address back as well: what counts is the token. */
const access = { ...ANYBODY, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'Your old e-mail address'

const OVER =
  'This link counts no more: it was used, is older than seven days, or was replaced by a later revert.'
const TAKEN = 'Another account uses this address by now. Tell those who run the place.'

const revert: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, random } = app
  const { kysely } = app.database

  const refuse = (reply: FastifyReply, status: number, reason: string) =>
    reply.code(status).page({ title: TITLE }, <RevertImpossible reason={reason} />)

  app.get(
    '/revert-email',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const token = parseRevertToken(request.query.token)
      const found = token && (await findEmailRevert(kysely, token.digest(), clock()))
      if (token === null || found === null) return refuse(reply, 404, OVER)
      return reply.page({ title: TITLE }, <RevertEmail email={found.email} token={token.reveal()} />)
    },
  )

  app.post(
    '/revert-email',
    {
      config: { access },
      schema: { ...HIDDEN, body: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const token = parseRevertToken(request.body.token)
      if (token === null) return refuse(reply, 404, OVER)
      const resetToken = mintResetToken(random)
      const reverted = await revertEmail(kysely, token.digest(), {
        resetToken: await hashResetToken(resetToken),
        revokeTokens: config.revokeTokensOnPasswordReset ? config.tokenableTypes : null,
        now: clock(),
      }).catch(error => {
        if (error instanceof UserExists) return 'taken' as const
        throw error
      })
      if (reverted === 'taken') return refuse(reply, 409, TAKEN)
      if (reverted === null) return refuse(reply, 404, OVER)
      const { userId, email } = reverted
      request.record('email change reverted', { userId })
      await app.mail.sendEmailReverted(reverted, tokenLink(config.resetPasswordUrl, resetToken))
      return reply.page({ title: TITLE }, <EmailReverted email={email} />)
    },
  )
}

export default revert
