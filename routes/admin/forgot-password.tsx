import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { publicUrl } from '#src/config/public-url.ts'
import { optionalText } from '#src/input/fields.ts'
import { HIDDEN, PUBLIC } from '#src/panel/access.ts'
import { isLoggedIn, redirectToDestination } from '#src/panel/after-login.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { ForgotPassword } from '#src/panel/pages/login.tsx'
import { LOGIN_PATH, RESET_PASSWORD_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const show = (reply: FastifyReply, formState: FormState & { problem?: string } = EMPTY_FORM) =>
  reply.sendPage(
    { title: 'Reset your password', problem: formState.problem },
    <ForgotPassword formState={formState} />,
  )

/** Requests a password reset. */
const forgotPassword: FastifyPluginAsyncTypebox = async app => {
  /** The target of the link in the mail. On APP_URL, not on the request's host (host header injection). */
  const page = publicUrl(app.config.appUrl, RESET_PASSWORD_PATH)

  app.get('/forgot-password', { config: { access: PUBLIC }, schema: HIDDEN }, async (request, reply) =>
    isLoggedIn(request) ? redirectToDestination(reply) : show(reply),
  )

  app.post(
    '/forgot-password',
    {
      config: { access: PUBLIC },
      schema: { ...HIDDEN, body: Type.Object({ email: optionalText('') }) },
      errorHandler: rerenderForm((_request, reply, formState) => show(reply, formState)),
    },
    async (request, reply) => {
      if (isLoggedIn(request)) return redirectToDestination(reply)
      await app.passwordResets.request(request, { email: request.body.email, page, reveals: false })
      return reply.redirectWithFlash(LOGIN_PATH, 'reset-asked')
    },
  )
}

export default forgotPassword
