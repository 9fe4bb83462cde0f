import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { unprocessable } from '../../src/api/errors.ts'
import { EnteredPassword } from '../../src/api/input.ts'
import { MESSAGES } from '../../src/api/messages.ts'
import { success } from '../../src/api/responses.ts'
import { passwordStamp } from '../../src/auth/session.ts'
import { noteLogin } from '../../src/database/login-addresses.ts'

const Body = Type.Object({
  email: Type.String({ maxLength: 255, description: 'In whatever case.', examples: ['demo@example.org'] }),
  password: EnteredPassword,
  remember: Type.Optional(
    Type.Unknown({
      description: 'Taken and not used yet: a session ends when it is not used.',
      examples: [false],
    }),
  ),
})

const LoggedIn = Type.Union(
  [Type.Object({ two_factor: Type.Boolean() }), Type.Object({ error: Type.String() })],
  {
    description: "The session is the user's, or was somebody's already: then `error` says so.",
    examples: [{ two_factor: false }, { error: MESSAGES.alreadyAuthenticated }],
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
          "Gives the browser a new session, which is the user's. LOGIN_RATE_LIMIT attempts a minute, right ones included; the headers tell what is left.",
        body: Body,
        response: { 200: success(LoggedIn, { isLimited: true }) },
      },
    },
    async (request, reply) => {
      const credentials = await request.checkPassword(reply, request.body)
      if (credentials === null) throw unprocessable({ email: [MESSAGES.wrongCredentials] })
      if (credentials.hasSecondFactor) throw unprocessable({ email: [MESSAGES.secondFactorUnsupported] })
      const { userId, password } = credentials
      await noteLogin(app.database.kysely, userId, request.clientAddress.key, app.clock())
      await app.sessions.start(request, { userId, password: passwordStamp(password) })
      return { two_factor: false }
    },
  )
}

export default login
