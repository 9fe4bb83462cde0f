import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, header, sendEmptyJson, successResponse } from '#src/api/responses.ts'
import { PASSWORD_TIMEOUT_S } from '#src/auth/session.ts'
import { RequiredPassword } from '#src/input/fields.ts'

const Body = Type.Object({ password: RequiredPassword })

const confirmation: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/confirm-password',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'user.confirm-password',
        tags: ['session'],
        summary: 'Confirm the password',
        description:
          'Stores in the session that the user has confirmed the password. Limited to CONFIRM_PASSWORD_RATE_LIMIT attempts per minute.',
        body: Body,
        response: { 201: emptyJsonResponse('The password was confirmed.') },
      },
    },
    async (request, reply) => {
      await app.passwords.confirm(request, request.body.password, 'password')
      return sendEmptyJson(reply, 201)
    },
  )

  app.get(
    '/confirmed-password-status',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'user.confirmed-password-status',
        tags: ['session'],
        summary: 'Show whether the password was confirmed recently',
        description: 'A login does not count as confirmation.',
        querystring: Type.Object({
          seconds: Type.Optional(
            Type.String({
              pattern: '^\\d{1,9}$',
              description: `The maximum age of the confirmation, in seconds. ${PASSWORD_TIMEOUT_S} by default.`,
              examples: ['900'],
            }),
          ),
        }),
        response: {
          200: successResponse(
            Type.Object(
              { confirmed: Type.Boolean() },
              { description: 'Whether the password was confirmed.', examples: [{ confirmed: true }] },
            ),
            {
              'X-Retry-After': header(
                'How long ago it was confirmed, in seconds; absent if it was not.',
                'integer',
              ),
            },
          ),
        },
      },
    },
    async (request, reply) => {
      const timeout = Number(request.query.seconds ?? PASSWORD_TIMEOUT_S)
      const age = app.passwords.secondsSinceConfirmed(request)
      if (age >= timeout) return { confirmed: false }
      reply.header('x-retry-after', age)
      return { confirmed: true }
    },
  )
}

export default confirmation
