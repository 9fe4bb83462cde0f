import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { guestMessage } from '#src/api/responses.ts'
import { optionalText } from '#src/input/account.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({ email: optionalText('demo@example.org') })

const forgotPassword: FastifyPluginAsyncTypebox = async app => {
  const { resetPasswordUrl: page, revealUnknownEmail: reveals } = app.config

  app.post(
    '/forgot-password',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'forgot-password',
        tags: ['account'],
        summary: 'Ask for a link to a new password',
        description:
          'Sends a mail, if there is an account with the address, once a minute at most. The answer is the same in any case, and comes after the same time; with REVEAL_UNKNOWN_EMAIL it tells. FORGOT_PASSWORD_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Body,
        response: {
          200: guestMessage('It is seen to.', MESSAGES.resetLinkSent),
        },
      },
    },
    async request => {
      await app.passwordResets.request(request, { email: request.body.email, page, reveals })
      return { message: MESSAGES.resetLinkSent }
    },
  )
}

export default forgotPassword
