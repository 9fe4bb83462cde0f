import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isTicked } from '#src/input/account.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { Password } from '#src/panel/pages/account.tsx'
import { PASSWORD_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Change = Type.Object({
  current_password: OptionalPassword,
  password: OptionalPassword,
  password_confirmation: OptionalPassword,
  revoke_tokens: Type.Optional(Type.Unknown()),
})

const show = (reply: FastifyReply, formState: FormState & { problem?: string } = EMPTY_FORM) =>
  reply.sendPage(
    { title: 'Password', active: 'Password', problem: formState.problem },
    <Password formState={formState} />,
  )

/** Changes the user's password. */
const password: FastifyPluginAsyncTypebox = async app => {
  app.get('/password', { config: { access: LOGGED_IN }, schema: HIDDEN }, (_request, reply) => show(reply))

  app.post(
    '/password',
    {
      config: { access: LOGGED_IN },
      schema: { ...HIDDEN, body: Change },
      errorHandler: rerenderForm((_request, reply, formState) => show(reply, formState)),
    },
    async (request, reply) => {
      const { current_password: current, password_confirmation: repeated, revoke_tokens } = request.body
      const revokeTokens = isTicked(revoke_tokens) || app.config.revokeTokensOnPasswordChange
      const entered = { current, password: request.body.password, repeated, revokeTokens }
      await app.passwords.change(request, entered)
      return reply.redirectWithFlash(PASSWORD_PATH, 'password-changed')
    },
  )
}

export default password
