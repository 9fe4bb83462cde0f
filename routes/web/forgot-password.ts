import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { guestResponse } from '#src/api/responses.ts'
import { requiredText } from '#src/input/fields.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({ email: requiredText('demo@example.org') })

const forgotPassword: FastifyPluginAsyncTypebox = async app => {
  const { resetPasswordUrl: page, revealUnknownEmail: reveals } = app.config

  app.post(
    '/forgot-password',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'forgot-password',
        tags: ['account'],
        summary: 'Request a link to set a new password',
        description:
          'Sends a mail if there is an account with the address, at most once a minute. The response and its timing do not reveal whether there is one, unless REVEAL_UNKNOWN_EMAIL is set. Limited to FORGOT_PASSWORD_RATE_LIMIT attempts per minute.',
        body: Body,
        response: {
          200: guestResponse('The request was accepted.'),
        },
      },
    },
    async request => {
      await app.passwordResets.request(request, { email: request.body.email, page, reveals })
      return { message: MESSAGES.resetLinkSent, status: MESSAGES.resetLinkSent }
    },
  )
}

export default forgotPassword
