import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { canonicalName, enteredEmail, errorsByField, optionalText } from '../../../src/api/account-input.ts'
import { passwordConfirmationRequired, unprocessable } from '../../../src/api/errors.ts'
import { MESSAGES } from '../../../src/api/messages.ts'
import { emptyJson, failure, sendEmptyJson } from '../../../src/api/responses.ts'
import { canonicalEmail } from '../../../src/auth/email.ts'
import type { SessionIdentity } from '../../../src/auth/identity.ts'
import { hasConfirmedPassword } from '../../../src/auth/session.ts'
import { UserExists, updateProfile } from '../../../src/database/users.ts'
import { accountKey } from '../../../src/limits/attempt-limit.ts'

const { rules } = MESSAGES

const Body = Type.Object({
  name: optionalText('demo'),
  email: optionalText('demo@example.org'),
})

const profile: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database

  app.put(
    '/profile-information',
    {
      config: { access: { auth: 'required', via: 'session' } },
      schema: {
        operationId: 'user.profile-information',
        tags: ['account'],
        summary: 'Change the name or the e-mail address',
        description:
          'Either may be left out. Another e-mail address has to be verified anew: a mail with a link goes there, and one to the old address if it was verified. REGISTER_RATE_LIMIT of those a minute.',
        body: Body,
        response: {
          200: emptyJson('It is changed.'),
          423: failure(
            'Another e-mail address, CONFIRM_EMAIL_CHANGE is set, and the password was not confirmed within the last three hours.',
            MESSAGES.passwordConfirmationRequired,
          ),
        },
      },
    },
    async (request, reply) => {
      const { user, session } = request.identity as SessionIdentity
      const name = canonicalName(request.body.name)
      const entered = enteredEmail(request.body.email)
      if (name === null && entered === null) {
        throw unprocessable({
          name: [rules.requiredWithout('name', 'email')],
          email: [rules.requiredWithout('email', 'name')],
        })
      }
      // Rows from elsewhere may hold another form of the same address.
      const isSame = request.body.email === user.email || entered === canonicalEmail(user.email)
      const email = isSame ? null : entered
      // Whoever asks for addresses learns which are taken, as by registering.
      if (email !== null) await app.attempts.count(request, reply, 'register', accountKey(email))

      const errors = errorsByField(
        await app.screening.profileErrors({ name: name ?? undefined, email: email ?? undefined }, user),
      )
      if (errors !== null) throw unprocessable(errors)
      if (email !== null && config.confirmEmailChange && !hasConfirmedPassword(session, clock())) {
        throw passwordConfirmationRequired()
      }

      const before = await updateProfile(kysely, user.id, { name, email }, clock()).catch(error => {
        if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
        throw error
      })
      request.record('profile changed', {
        userId: user.id,
        name: name !== null && name !== user.name,
        email: email !== null,
      })
      if (before !== null && email !== null) {
        await app.mail.sendVerification({ id: user.id, name: name ?? before.name, email })
        // An address that nobody has shown to be theirs may be a stranger's.
        if (before.isVerified) await app.mail.notify('emailChanged', before)
      }
      return sendEmptyJson(reply)
    },
  )
}

export default profile
