import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { success } from '#src/api/responses.ts'
import { isYes, Remember } from '#src/input/account.ts'
import { EnteredPassword } from '#src/input/values.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const Body = Type.Object({
  email: Type.String({ maxLength: 255, description: 'In whatever case.', examples: ['demo@example.org'] }),
  password: EnteredPassword,
  remember: Remember,
})

const LoggedIn = Type.Union(
  [Type.Object({ two_factor: Type.Boolean() }), Type.Object({ error: Type.String() })],
  {
    description:
      "The session is the user's; or it waits for a second factor, for ten minutes; or it was somebody's already: then `error` says so.",
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
          "Gives the browser a new session, which is the user's, or with a second factor becomes the user's by `POST /two-factor-challenge`. LOGIN_RATE_LIMIT attempts a minute, right ones included; the headers tell what is left.",
        body: Body,
        response: { 200: success(LoggedIn) },
      },
    },
    async request => {
      const { email, password, remember } = request.body
      const owed = await app.login.enter(request, { email, password, remember: isYes(remember) })
      return { two_factor: owed === 'second factor' }
    },
  )
}

export default login
