import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  canonicalName,
  enteredEmail,
  errorsByField,
  isYes,
  optionalText,
  Remember,
} from '../../src/api/account-input.ts'
import { unprocessable } from '../../src/api/errors.ts'
import { OptionalPassword } from '../../src/api/input.ts'
import { MESSAGES } from '../../src/api/messages.ts'
import { emptyJson, sendEmptyJson } from '../../src/api/responses.ts'
import { UserExists } from '../../src/database/user-keys.ts'
import { insertUser } from '../../src/database/users.ts'
import { accountKey } from '../../src/limits/attempt-limit.ts'

const { rules } = MESSAGES

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
          "Makes an account, gives the browser a new session, which is the user's, and sends a mail with a link that verifies the address. REGISTER_RATE_LIMIT attempts a minute; the headers tell what is left.",
        body: Body,
        response: { 201: emptyJson('The account is made, and its user logged in.') },
      },
    },
    async (request, reply) => {
      const { password, password_confirmation: repeated, terms, remember } = request.body
      const name = canonicalName(request.body.name)
      const email = enteredEmail(request.body.email)
      await app.attempts.count(request, reply, 'register', accountKey(email ?? ''))

      const errors = errorsByField({
        ...(await app.screening.profileErrors({ name, email }, null)),
        password: await app.screening.passwordErrors(password, repeated),
        terms: terms === undefined || terms === null ? [rules.required('terms')] : [],
      })
      if (errors !== null) throw unprocessable(errors)

      await app.attempts.countRegistration(request)
      const user = {
        name: name as string,
        email: email as string,
        password: await app.hashPassword(request, password as string),
      }
      const userId = await insertUser(app.database.kysely, {
        ...user,
        verified: false,
        now: app.clock(),
      }).catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })
      request.record('registered', { userId })
      await app.mail.sendVerification({ ...user, id: userId })
      await request.enterAsNew({ ...user, userId }, { remember: isYes(remember) })
      return sendEmptyJson(reply, 201)
    },
  )
}

export default register
