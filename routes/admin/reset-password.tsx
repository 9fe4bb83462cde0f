import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isTicked } from '#src/input/account.ts'
import { optionalText } from '#src/input/fields.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, PUBLIC } from '#src/panel/access.ts'
import { isLoggedIn, redirectToDestination } from '#src/panel/after-login.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { NewPassword } from '#src/panel/pages/login.tsx'
import { LOGIN_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Link = Type.Object({ token: Type.Optional(Type.Unknown()) })

const Reset = Type.Object({
  token: optionalText(''),
  email: optionalText(''),
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
  revoke_tokens: Type.Optional(Type.Unknown()),
})

/** Sets a new password with the link of a mail. */
const resetPassword: FastifyPluginAsyncTypebox = async app => {
  const show = (
    reply: FastifyReply,
    token: unknown,
    formState: FormState & { problem?: string } = EMPTY_FORM,
  ) =>
    reply.sendPage(
      { title: 'Set a new password', problem: formState.problem },
      <NewPassword
        formState={formState}
        token={typeof token === 'string' ? token : null}
        revokesTokens={app.config.revokeTokensOnPasswordReset}
      />,
    )

  app.get(
    '/reset-password',
    { config: { access: PUBLIC }, schema: { ...HIDDEN, querystring: Link } },
    async (request, reply) =>
      isLoggedIn(request) ? redirectToDestination(reply) : show(reply, request.query.token),
  )

  app.post(
    '/reset-password',
    {
      config: { access: PUBLIC },
      schema: { ...HIDDEN, body: Reset },
      errorHandler: rerenderForm((_request, reply, formState) =>
        show(reply, formState.values.token, formState),
      ),
    },
    async (request, reply) => {
      if (isLoggedIn(request)) return redirectToDestination(reply)
      const { token, email, password, password_confirmation: repeated, revoke_tokens } = request.body
      const revokeTokens = isTicked(revoke_tokens)
      await app.passwordResets.complete(request, { token, email, password, repeated, revokeTokens })
      return reply.redirectWithFlash(LOGIN_PATH, 'password-reset')
    },
  )
}

export default resetPassword
