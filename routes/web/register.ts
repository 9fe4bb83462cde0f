import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJson, sendEmptyJson } from '#src/api/responses.ts'
import { isYes, optionalText, Remember } from '#src/input/account.ts'
import { OptionalPassword } from '#src/input/values.ts'

const Body = Type.Object({
  name: optionalText('newcomer'),
  email: optionalText('newcomer@example.org'),
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
  terms: Type.Optional(
    Type.Unknown({ description: 'Whether the terms were read: whatever is not empty.', examples: [true] }),
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
          "Makes an account, gives the browser a new session, which is the user's, and sends a mail with a link that verifies the address. With REGISTER_REVEALS=false nobody is logged in: a mail brings the link to the page on which the password is chosen, and an address that has an account gets a mail that says so. REGISTER_RATE_LIMIT attempts a minute; the headers tell what is left.",
        body: Body,
        response: {
          201: emptyJson(
            'The account is made, and its user logged in. With REGISTER_REVEALS=false: a mail is on its way.',
          ),
        },
      },
    },
    async (request, reply) => {
      const { name, email, password, password_confirmation: repeated, terms, remember } = request.body
      const entered = { name, email, password, repeated, terms, remember: isYes(remember) }
      await app.registration.register(request, entered)
      return sendEmptyJson(reply, 201)
    },
  )
}

export default register
