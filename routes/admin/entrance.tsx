import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { PANEL_PATH } from '#src/config/paths.ts'
import { isYes, optionalText, Remember } from '#src/input/account.ts'
import { EnteredPassword, OptionalPassword } from '#src/input/values.ts'
import { ANYBODY, HIDDEN, LEAVING } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { Challenge, ForgottenPassword, Login, NewPassword } from '#src/panel/pages/entrance.tsx'
import { isPanelPath } from '#src/panel/paths.ts'

const To = Type.Optional(Type.Unknown())

const destination = (to: unknown) => (isPanelPath(to) ? to : null)

const entrance: FastifyPluginAsyncTypebox = async app => {
  /** Where a link to a new password leads that was asked for here. */
  const resetPage = new URL(`${PANEL_PATH}/reset-password`, app.config.appUrl)

  /** Leads on whoever has nothing to do at the entrance any more. */
  const isIn = ({ identity }: FastifyRequest) => identity !== null
  const enter = (reply: FastifyReply, to: unknown) => reply.redirect(destination(to) ?? '/admin', 303)

  const showLogin = (reply: FastifyReply, to: unknown, returned: Returned & { problem?: string } = BLANK) =>
    reply.page(
      { title: 'Log in', problem: returned.problem },
      <Login returned={returned} to={destination(to)} />,
    )
  const showChallenge = (
    reply: FastifyReply,
    to: unknown,
    returned: Returned & { problem?: string } = BLANK,
  ) =>
    reply.page(
      { title: 'Second factor', problem: returned.problem },
      <Challenge returned={returned} to={destination(to)} />,
    )

  app.get(
    '/login',
    { config: { access: ANYBODY }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) =>
      isIn(request) ? enter(reply, request.query.to) : showLogin(reply, request.query.to),
  )

  app.post(
    '/login',
    {
      config: { access: ANYBODY },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          email: Type.String({ maxLength: 255 }),
          password: EnteredPassword,
          remember: Remember,
          to: To,
        }),
      },
      errorHandler: backToForm((_request, reply, returned) =>
        showLogin(reply, returned.entered.to, returned),
      ),
    },
    async (request, reply) => {
      const { email, password, remember, to } = request.body
      if (isIn(request)) return enter(reply, to)
      const owed = await app.login.enter(request, { email, password, remember: isYes(remember) })
      if (owed === 'nothing') return enter(reply, to)
      const path = destination(to)
      return reply.redirect(`/admin/two-factor${path === null ? '' : `?to=${path}`}`, 303)
    },
  )

  app.get(
    '/two-factor',
    { config: { access: ANYBODY }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) => {
      if (isIn(request)) return enter(reply, request.query.to)
      return app.login.isChallenged(request)
        ? showChallenge(reply, request.query.to)
        : reply.redirect('/admin/login', 303)
    },
  )

  app.post(
    '/two-factor',
    {
      config: { access: ANYBODY },
      schema: {
        ...HIDDEN,
        body: Type.Object({ code: optionalText(''), recovery_code: optionalText(''), to: To }),
      },
      errorHandler: backToForm((_request, reply, returned) =>
        showChallenge(reply, returned.entered.to, returned),
      ),
    },
    async (request, reply) => {
      const { code = null, recovery_code: recoveryCode = null, to } = request.body
      if (isIn(request)) return enter(reply, to)
      if (!app.login.isChallenged(request)) return reply.redirect('/admin/login', 303)
      await app.login.answerChallenge(request, { code, recoveryCode })
      return enter(reply, to)
    },
  )

  const showForgotten = (reply: FastifyReply, returned: Returned & { problem?: string } = BLANK) =>
    reply.page(
      { title: 'Forgotten password', problem: returned.problem },
      <ForgottenPassword returned={returned} />,
    )

  app.get('/forgot-password', { config: { access: ANYBODY }, schema: HIDDEN }, async (request, reply) =>
    isIn(request) ? enter(reply, null) : showForgotten(reply),
  )

  app.post(
    '/forgot-password',
    {
      config: { access: ANYBODY },
      schema: { ...HIDDEN, body: Type.Object({ email: optionalText('') }) },
      errorHandler: backToForm((_request, reply, returned) => showForgotten(reply, returned)),
    },
    async (request, reply) => {
      if (isIn(request)) return enter(reply, null)
      await app.passwordResets.request(request, {
        email: request.body.email,
        page: resetPage,
        reveals: false,
      })
      return reply.done('/admin/login', 'reset-asked')
    },
  )

  const showReset = (
    reply: FastifyReply,
    token: unknown,
    returned: Returned & { problem?: string } = BLANK,
  ) =>
    reply.page(
      { title: 'New password', problem: returned.problem },
      <NewPassword
        returned={returned}
        token={typeof token === 'string' ? token : null}
        revokesTokens={app.config.revokeTokensOnPasswordReset}
      />,
    )

  app.get(
    '/reset-password',
    {
      config: { access: ANYBODY },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => (isIn(request) ? enter(reply, null) : showReset(reply, request.query.token)),
  )

  app.post(
    '/reset-password',
    {
      config: { access: ANYBODY },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          token: optionalText(''),
          email: optionalText(''),
          password: OptionalPassword,
          password_confirmation: OptionalPassword,
          revoke_tokens: Type.Optional(Type.Unknown()),
        }),
      },
      errorHandler: backToForm((_request, reply, returned) =>
        showReset(reply, returned.entered.token, returned),
      ),
    },
    async (request, reply) => {
      if (isIn(request)) return enter(reply, null)
      const { token, email, password, password_confirmation: repeated, revoke_tokens } = request.body
      const revokeTokens = isYes(revoke_tokens)
      await app.passwordResets.complete(request, { token, email, password, repeated, revokeTokens })
      return reply.done('/admin/login', 'password-reset')
    },
  )

  app.post('/logout', { config: { access: LEAVING }, schema: HIDDEN }, async (request, reply) => {
    await app.login.logOut(request)
    return reply.done('/admin/login', 'logged-out')
  })
}

export default entrance
