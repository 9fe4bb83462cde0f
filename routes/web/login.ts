import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { successResponse } from '#src/api/responses.ts'
import { isTicked } from '#src/input/account.ts'
import { Remember } from '#src/input/fields.ts'
import { EnteredPassword } from '#src/input/values.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({
  email: Type.String({ maxLength: 255, description: 'Case-insensitive.', examples: ['demo@example.org'] }),
  password: EnteredPassword,
  remember: Remember,
})

const LoggedIn = Type.Union(
  [Type.Object({ two_factor: Type.Boolean() }), Type.Object({ error: Type.String() })],
  {
    description:
      'The user is logged in, or must enter the second factor within ten minutes (`two_factor`), or the session was already authenticated (`error`).',
    examples: [{ two_factor: false }, { two_factor: true }, { error: MESSAGES.alreadyAuthenticated }],
  },
)

const login: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/login',
    {
      config: { access: { auth: 'guest', via: 'session' } },
      schema: {
        operationId: 'login',
        tags: ['session'],
        summary: 'Log in',
        description:
          'Starts a new session. With a second factor the login must be completed with `POST /two-factor-challenge`. Limited to LOGIN_RATE_LIMIT attempts per minute, successful ones included.',
        body: Body,
        response: { 200: successResponse(LoggedIn) },
      },
    },
    async request => {
      const { email, password, remember } = request.body
      const nextStep = await app.login.logIn(request, { email, password, remember: isTicked(remember) })
      return { two_factor: nextStep === 'second factor' }
    },
  )
}

export default login
