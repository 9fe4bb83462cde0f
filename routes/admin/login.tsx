import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isYes, Remember } from '#src/input/account.ts'
import { EnteredPassword } from '#src/input/values.ts'
import { ANYBODY, HIDDEN, LEAVING } from '#src/panel/access.ts'
import { destinationOf, isLoggedIn, redirectToDestination, To } from '#src/panel/after-login.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { Login } from '#src/panel/pages/login.tsx'
import { CHALLENGE_PATH, LOGIN_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Credentials = Type.Object({
  email: Type.String({ maxLength: 255 }),
  password: EnteredPassword,
  remember: Remember,
  to: To,
})

const show = (reply: FastifyReply, to: unknown, returned: Returned & { problem?: string } = BLANK) =>
  reply.page(
    { title: 'Log in', problem: returned.problem },
    <Login returned={returned} to={destinationOf(to)} />,
  )

/** Logging in and out. */
const login: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/login',
    { config: { access: ANYBODY }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) =>
      isLoggedIn(request) ? redirectToDestination(reply, request.query.to) : show(reply, request.query.to),
  )

  app.post(
    '/login',
    {
      config: { access: ANYBODY },
      schema: { ...HIDDEN, body: Credentials },
      errorHandler: rerenderForm((_request, reply, returned) => show(reply, returned.entered.to, returned)),
    },
    async (request, reply) => {
      const { email, password, remember, to } = request.body
      if (isLoggedIn(request)) return redirectToDestination(reply, to)
      const owed = await app.login.enter(request, { email, password, remember: isYes(remember) })
      if (owed === 'nothing') return redirectToDestination(reply, to)
      const path = destinationOf(to)
      return reply.redirect(`${CHALLENGE_PATH}${path === null ? '' : `?to=${path}`}`, 303)
    },
  )

  app.post('/logout', { config: { access: LEAVING }, schema: HIDDEN }, async (request, reply) => {
    await app.login.logOut(request)
    return reply.done(LOGIN_PATH, 'logged-out')
  })
}

export default login
