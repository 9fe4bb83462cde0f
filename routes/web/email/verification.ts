import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { sendNewEmail } from '#src/accounts/new-email.ts'
import { forbidden, HttpError, passwordConfirmationRequired, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { emptyJson, failure, noContent, redirection, sendEmptyJson } from '#src/api/responses.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { mintRevertToken } from '#src/auth/revert-token.ts'
import { equalSecrets } from '#src/auth/secret.ts'
import { emailHash, isSignedLink } from '#src/auth/signed-link.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { PANEL_PATH } from '#src/config/paths.ts'
import { confirmPendingEmail, findPendingEmail } from '#src/database/email-changes.ts'
import { UserExists } from '#src/database/user-keys.ts'
import { verifyEmail } from '#src/database/users.ts'
import { happeningOf, pathOf } from '#src/http/http.ts'

const verification: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app

  // Whoever follows a link wants to see a page, and not what is meant for programs.
  app.setErrorHandler(async (error, request, reply) => {
    const isUnknown = error instanceof HttpError && error.statusCode === 401
    if (isUnknown && wantsPage(request)) return reply.redirect(config.loginUrl.href)
    throw error
  })

  /** Counts the address of the request's user as verified. */
  const verify = async (request: FastifyRequest) => {
    const { id, isNew } = await request.authorized(async (transaction, { user }) => {
      const account = { userId: user.id, email: user.email, types: config.tokenableTypes }
      return { id: user.id, isNew: await verifyEmail(transaction, account, clock()) }
    })
    if (isNew) request.record('email verified', { userId: id })
  }

  /** Makes the address that waits for it the one of the request's user, and tells the old one. */
  const changeEmail = async (request: FastifyRequest, email: string) => {
    const token = mintRevertToken(app.random)
    const changed = await request
      .authorized(async (transaction, { user }) => {
        // A page of another site can lead a user to a link that a thief has asked for.
        if (request.owesPassword()) throw passwordConfirmationRequired()
        return confirmPendingEmail(transaction, user.id, { email, token: token.digest(), now: clock() })
      })
      .catch(error => {
        if (error instanceof UserExists) throw unprocessable({ email: [MESSAGES.rules.unique('email')] })
        throw error
      })
    if (changed === null) throw forbidden()
    const { before, canRevert } = changed
    request.record('email changed', { userId: before.id })
    const happening = happeningOf(request, clock())
    if (!canRevert) {
      if (before.email.toLowerCase() !== email.toLowerCase()) {
        await app.mail.notify('emailChanged', before, text => text(before, happening))
      }
      return
    }
    const page = new URL(`${PANEL_PATH}/revert-email`, config.appUrl)
    await app.mail.sendEmailReplaced(before, tokenLink(page, token), happening)
  }

  app.get(
    '/verify/:id/:hash',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'email.verify',
        tags: ['account'],
        summary: "Verify the user's e-mail address",
        description:
          "The link of the mail: it counts for an hour, and in a session of the very user. One that was mailed to a new address makes that the user's. A browser is sent to FRONTEND_URL with `?verified=1`, or to WIKI_LOGIN unless somebody is logged in. Six attempts a minute.",
        params: Type.Object({
          id: Type.String({ description: "The user's id.", examples: ['1'] }),
          hash: Type.String({ description: 'The SHA-1 of the e-mail address, in hex.' }),
        }),
        response: {
          204: noContent('It is verified, now or before.'),
          302: redirection('The same, for a browser.'),
          423: failure(
            "The link makes a new address the user's, and the password was not confirmed in this session within the last three hours.",
            MESSAGES.passwordConfirmationRequired,
          ),
          403: failure("The link was changed, is too old, or is not the user's.", MESSAGES.invalidSignature),
        },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      await app.attempts.count(request, reply, 'verification', String(user.id))
      const path = pathOf(request.url)
      const query = request.url.slice(path.length + 1)
      // By the address as configured, whatever host the request names.
      if (!isSignedLink(config.appUrl.origin + path, query, clock(), app.keys.signing())) {
        throw forbidden(MESSAGES.invalidSignature)
      }
      const { id, hash } = request.params
      if (id !== String(user.id)) throw forbidden()
      const pending = await findPendingEmail(app.database.kysely, user.id, clock())
      if (equalSecrets(hash, emailHash(user.email))) await verify(request)
      else if (pending !== null && equalSecrets(hash, emailHash(pending))) await changeEmail(request, pending)
      else throw forbidden()
      if (!wantsPage(request)) return reply.code(204).send(null)
      const page = new URL(config.frontendUrl)
      page.searchParams.set('verified', '1')
      return reply.redirect(page.href)
    },
  )

  app.post(
    '/verification-notification',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'email.verification-notification',
        tags: ['account'],
        summary: 'Ask for another mail that verifies the e-mail address',
        description:
          'Six attempts a minute. An address gets five such mails an hour at most. While a new address waits for its confirmation, the mail goes there.',
        response: {
          202: emptyJson('It is on its way.'),
          204: noContent('The address is verified already.'),
        },
      },
    },
    async (request, reply) => {
      const { user } = request.identity as SessionIdentity
      await app.attempts.count(request, reply, 'verification', String(user.id))
      const pending = await findPendingEmail(app.database.kysely, user.id, clock())
      if (pending !== null) await sendNewEmail(request, { ...user, email: pending })
      else if (user.emailVerifiedAt !== null) return reply.code(204).send(null)
      else await app.mail.sendVerification(user)
      return sendEmptyJson(reply, 202)
    },
  )
}

/** Whether a browser asks for a page, and not a program for data. */
const wantsPage = ({ headers }: FastifyRequest) => /\btext\/html\b/i.test(headers.accept ?? '')

export default verification
