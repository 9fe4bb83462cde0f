import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { sendNewEmail } from '#src/accounts/new-email.ts'
import { passwordConfirmationRequired, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { emptyJson, failure, sendEmptyJson } from '#src/api/responses.ts'
import { canonicalEmail } from '#src/auth/email.ts'
import type { SessionIdentity, User } from '#src/auth/identity.ts'
import { dropPendingEmail, keepPendingEmail } from '#src/database/email-changes.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { updateProfile } from '#src/database/users.ts'
import { happeningOf } from '#src/http/http.ts'
import { canonicalName, enteredEmail, errorsByField, optionalText } from '#src/input/account.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'

const { rules } = MESSAGES

const Body = Type.Object({
  name: optionalText('demo'),
  email: optionalText('demo@example.org'),
})

const profile: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app

  app.put(
    '/profile-information',
    {
      config: { access: { auth: 'required', via: 'session' } },
      schema: {
        operationId: 'user.profile-information',
        tags: ['account'],
        summary: 'Change the name or the e-mail address',
        description:
          'Either may be left out. To change a verified e-mail address takes a password confirmed within the last three hours (422 without); the new one counts once the link that is mailed there is opened in this session, and the old one gets a mail by which the change can be reverted for seven days. One that was never verified changes at once, and so does any with `EMAIL_CHANGE=immediate`: it has to be verified anew. With REGISTER_REVEALS=false nobody is told whether an address is taken: its owner then gets a mail without a link. REGISTER_RATE_LIMIT addresses a minute.',
        body: Body,
        response: {
          200: emptyJson('It is changed, or the new address waits for its confirmation.'),
          423: failure(
            'The address would change at once, CONFIRM_EMAIL_CHANGE is set, and the password was not confirmed within the last three hours.',
            MESSAGES.passwordConfirmationRequired,
          ),
        },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      const isNamed = typeof request.body.name === 'string'
      const enteredName = canonicalName(request.body.name)
      const entered = enteredEmail(request.body.email)
      // Names from before there were rules for them stay, and so do those that are like another's.
      const isSameName = request.body.name === user.name || enteredName === user.name.normalize('NFC')
      const name = isSameName ? null : enteredName
      if (!isNamed && entered === null) {
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

      /** Whether a user's new address waits until its mail's link is opened. */
      const waits = ({ emailVerifiedAt }: User) =>
        config.emailChange === 'confirmed' && emailVerifiedAt !== null
      const owesPassword = { email: [MESSAGES.emailChangeNeedsPassword] }

      const found = await app.screening.profileErrors(
        { name: isNamed && !isSameName ? name : undefined, email: email ?? undefined },
        user,
      )
      const needsPassword = email !== null && waits(user) && request.owesPassword()
      // It would change at once, and tell by that whether it was free.
      const needsVerification = email !== null && !waits(user) && !config.registerReveals
      const errors = errorsByField({
        name: found.name,
        email: [
          ...found.email,
          ...(needsPassword ? owesPassword.email : []),
          ...(needsVerification ? [MESSAGES.emailChangeNeedsVerification] : []),
        ],
      })
      if (errors !== null) throw unprocessable(errors)

      const done = await request
        .authorized(async (transaction, identity: SessionIdentity) => {
          const isPending = email !== null && waits(identity.user)
          if (isPending && request.owesPassword()) throw unprocessable(owesPassword)
          if (email !== null && !isPending && config.confirmEmailChange && request.owesPassword()) {
            throw passwordConfirmationRequired()
          }
          const now = clock()
          const change = { name, email: isPending ? null : email }
          const before = await updateProfile(transaction, identity.user.id, change, now)
          const { hasSecondFactor: hadSecondFactor } = identity.user
          if (isPending) await keepPendingEmail(transaction, before.id, { email, hadSecondFactor, now })
          // Entering the present address, or one that counts at once, takes back what was asked for before.
          else if (entered !== null) await dropPendingEmail(transaction, before.id)
          return { before, isPending, wasVerified: identity.user.emailVerifiedAt !== null }
        })
        .catch(error => {
          if (error instanceof UserExists) throw unprocessable({ [error.field]: [rules.unique(error.field)] })
          throw error
        })
      const { before, isPending, wasVerified } = done
      if (name !== null || !isPending) {
        request.record('profile changed', {
          userId: before.id,
          name: name !== null && name !== before.name,
          email: email !== null && !isPending,
        })
      }
      if (email !== null) {
        const to = { id: before.id, name: name ?? before.name, email }
        if (isPending) {
          request.record('email change asked for', { userId: before.id })
          await sendNewEmail(request, to)
        } else {
          await app.mail.sendVerification(to)
          // An address that nobody has shown to be theirs may be a stranger's.
          if (wasVerified) {
            await app.mail.notify('emailChanged', before, text => text(before, happeningOf(request, clock())))
          }
        }
      }
      return sendEmptyJson(reply)
    },
  )
}

export default profile
