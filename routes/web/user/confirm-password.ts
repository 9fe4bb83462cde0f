import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJson, sendEmptyJson, success } from '#src/api/responses.ts'
import { PASSWORD_TIMEOUT_S } from '#src/auth/session.ts'
import { OptionalPassword } from '#src/input/values.ts'

const Body = Type.Object({ password: OptionalPassword })

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
          'Remembers in the session that its user has just entered the password. CONFIRM_PASSWORD_RATE_LIMIT attempts a minute; the headers tell what is left.',
        body: Body,
        response: { 201: emptyJson('It is confirmed.') },
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
        summary: 'Tell whether the password was confirmed lately',
        description: 'Logging in does not count: what asks for the password asks for it anew.',
        querystring: Type.Object({
          seconds: Type.Optional(
            Type.String({
              pattern: '^\\d{1,9}$',
              description: `What lately is, in seconds; ${PASSWORD_TIMEOUT_S} unless it is given.`,
              examples: ['900'],
            }),
          ),
        }),
        response: {
          200: success(
            Type.Object(
              { confirmed: Type.Boolean() },
              { description: 'Whether it was.', examples: [{ confirmed: true }] },
            ),
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
