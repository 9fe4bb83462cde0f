import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { tellOwner } from '#src/accounts/new-email.ts'
import { unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { emptyJson, sendEmptyJson } from '#src/api/responses.ts'
import { mintResetToken } from '#src/auth/reset-token.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { keepRegistration } from '#src/database/registrations.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { insertUser } from '#src/database/users.ts'
import {
  canonicalName,
  enteredEmail,
  errorsByField,
  isYes,
  optionalText,
  Remember,
} from '#src/input/account.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'

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
  const { config, clock, random } = app
  const { kysely } = app.database

  /**
   * Keeps a registration until its mail's link is opened, or tells the owner of the address. The password that was
   * entered is no secret of the owner's if a stranger has registered, and so another one is chosen then. Neither does the
   * name become anybody's before: whether it is free afterwards would tell whether the address was.
   */
  const registerUnseen = async (wanted: { name: string; email: string }) => {
    if (await tellOwner(app, wanted.email, null)) return
    if (!(await app.mail.mayReceive('registration', wanted.email))) return
    const token = mintResetToken(random)
    await keepRegistration(kysely, { ...wanted, digest: token.digest(), now: clock() })
    await app.mail.sendRegistration(wanted, tokenLink(config.resetPasswordUrl, token))
  }

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
      const { password, password_confirmation: repeated, terms, remember } = request.body
      const name = canonicalName(request.body.name)
      const email = enteredEmail(request.body.email)
      await app.attempts.count(request, reply, 'register', accountKey(email ?? ''))

      const errors = errorsByField({
        ...(await app.screening.profileErrors({ name, email }, null)),
        password: await app.screening.passwords.errors(password, repeated, { name, email }),
        terms: terms === undefined || terms === null ? [rules.required('terms')] : [],
      })
      if (errors !== null) throw unprocessable(errors)

      await app.attempts.countRegistration(request)
      if (!config.registerReveals) {
        const wanted = { name: name as string, email: email as string }
        // Nothing that depends on the address happens before the answer, which comes after the same time in any case.
        request.afterAnswer(() => registerUnseen(wanted), 'somebody could not be registered')
        return sendEmptyJson(reply, 201)
      }
      const user = {
        name: name as string,
        email: email as string,
        password: await app.hashPassword(request, password as string),
      }
      const userId = await insertUser(kysely, { ...user, verified: false, now: clock() }).catch(error => {
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
