import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, sendEmptyJson } from '#src/api/responses.ts'
import { isTicked } from '#src/input/account.ts'
import { documentAs } from '#src/input/documented.ts'
import { Remember, RequiredPassword, requiredText } from '#src/input/fields.ts'

const Body = Type.Object({
  name: requiredText('newcomer'),
  email: requiredText('newcomer@example.org'),
  password: RequiredPassword,
  password_confirmation: RequiredPassword,
  terms: documentAs(
    Type.Optional(
      Type.Unknown({
        description: 'Whether the user accepts the terms: any non-empty value.',
        examples: [true],
      }),
    ),
    { schema: { type: ['boolean', 'integer', 'string'] }, isRequired: true },
  ),
  remember: Remember,
})

const register: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/register',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'register',
        tags: ['account'],
        summary: 'Register',
        description:
          'Creates an account, logs the user in with a new session, and sends a mail with a link to verify the address. With REGISTER_REVEALS=false the user is not logged in: the mail contains a link to the page for setting the password, or, if the address has an account, a notice. Limited to REGISTER_RATE_LIMIT attempts per minute.',
        body: Body,
        response: {
          201: emptyJsonResponse(
            'The account was created, and the user logged in. With REGISTER_REVEALS=false: a mail was sent.',
          ),
        },
      },
    },
    async (request, reply) => {
      const { name, email, password, password_confirmation: repeated, terms, remember } = request.body
      const entered = { name, email, password, repeated, terms, remember: isTicked(remember) }
      await app.registration.register(request, entered)
      return sendEmptyJson(reply, 201)
    },
  )
}

export default register
