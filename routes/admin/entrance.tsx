import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isYes, optionalText, Remember } from '../../src/api/account-input.ts'
import { EnteredPassword } from '../../src/api/input.ts'
import { isPending } from '../../src/auth/session.ts'
import { ANYBODY, HIDDEN, LEAVING } from '../../src/panel/access.ts'
import { backToForm } from '../../src/panel/back-to-form.ts'
import { BLANK, type Returned } from '../../src/panel/elements.tsx'
import { Challenge, Login } from '../../src/panel/pages/entrance.tsx'
import { isPanelPath } from '../../src/panel/paths.ts'

const To = Type.Optional(Type.Unknown())

const destination = (to: unknown) => (isPanelPath(to) ? to : null)

const entrance: FastifyPluginAsyncTypebox = async app => {
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
      const owed = await request.enter(reply, { email, password, remember: isYes(remember) })
      if (owed === 'nothing') return enter(reply, to)
      const path = destination(to)
      return reply.redirect(`/admin/two-factor${path === null ? '' : `?to=${path}`}`, 303)
    },
  )

  /** Whether the session waits for a second factor. */
  const isWaiting = ({ session }: FastifyRequest) =>
    session !== null && session.challenge !== null && isPending(session.challenge, app.clock())

  app.get(
    '/two-factor',
    { config: { access: ANYBODY }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) => {
      if (isIn(request)) return enter(reply, request.query.to)
      return isWaiting(request) ? showChallenge(reply, request.query.to) : reply.redirect('/admin/login', 303)
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
      if (!isWaiting(request)) return reply.redirect('/admin/login', 303)
      await request.answerChallenge(reply, { code, recoveryCode })
      return enter(reply, to)
    },
  )

  app.post('/logout', { config: { access: LEAVING }, schema: HIDDEN }, async (request, reply) => {
    await request.logOut()
    return reply.done('/admin/login', 'logged-out')
  })
}

export default entrance
