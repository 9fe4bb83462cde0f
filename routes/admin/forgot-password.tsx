import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { optionalText } from '#src/input/account.ts'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { isLoggedIn, redirectToDestination } from '#src/panel/after-login.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { ForgottenPassword } from '#src/panel/pages/login.tsx'
import { LOGIN_PATH, RESET_PASSWORD_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const show = (reply: FastifyReply, returned: Returned & { problem?: string } = BLANK) =>
  reply.page(
    { title: 'Forgotten password', problem: returned.problem },
    <ForgottenPassword returned={returned} />,
  )

/** Asking for a mail with a link to a new password. */
const forgotPassword: FastifyPluginAsyncTypebox = async app => {
  /** Where the link of the mail leads: to this panel's page, whatever host the request names. */
  const page = new URL(RESET_PASSWORD_PATH, app.config.appUrl)

  app.get('/forgot-password', { config: { access: ANYBODY }, schema: HIDDEN }, async (request, reply) =>
    isLoggedIn(request) ? redirectToDestination(reply) : show(reply),
  )

  app.post(
    '/forgot-password',
    {
      config: { access: ANYBODY },
      schema: { ...HIDDEN, body: Type.Object({ email: optionalText('') }) },
      errorHandler: rerenderForm((_request, reply, returned) => show(reply, returned)),
    },
    async (request, reply) => {
      if (isLoggedIn(request)) return redirectToDestination(reply)
      await app.passwordResets.request(request, { email: request.body.email, page, reveals: false })
      return reply.done(LOGIN_PATH, 'reset-asked')
    },
  )
}

export default forgotPassword
