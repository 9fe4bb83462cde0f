import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { isTicked } from '#src/input/account.ts'
import { Remember } from '#src/input/fields.ts'
import { EnteredPassword } from '#src/input/values.ts'
import { HIDDEN, LOGOUT, PUBLIC } from '#src/panel/access.ts'
import { destinationOf, isLoggedIn, redirectToDestination, To } from '#src/panel/after-login.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { Login } from '#src/panel/pages/login.tsx'
import { CHALLENGE_PATH, LOGIN_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Credentials = Type.Object({
  email: Type.String({ maxLength: 255 }),
  password: EnteredPassword,
  remember: Remember,
  to: To,
})

const show = (reply: FastifyReply, to: unknown, formState: FormState & { problem?: string } = EMPTY_FORM) =>
  reply.sendPage(
    { title: 'Log in', problem: formState.problem },
    <Login formState={formState} to={destinationOf(to)} />,
  )

/** Logs users in and out. */
const login: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/login',
    { config: { access: PUBLIC }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) =>
      isLoggedIn(request) ? redirectToDestination(reply, request.query.to) : show(reply, request.query.to),
  )

  app.post(
    '/login',
    {
      config: { access: PUBLIC },
      schema: { ...HIDDEN, body: Credentials },
      errorHandler: rerenderForm((_request, reply, formState) => show(reply, formState.values.to, formState)),
    },
    async (request, reply) => {
      const { email, password, remember, to } = request.body
      if (isLoggedIn(request)) return redirectToDestination(reply, to)
      const nextStep = await app.login.logIn(request, { email, password, remember: isTicked(remember) })
      if (nextStep === 'nothing') return redirectToDestination(reply, to)
      const path = destinationOf(to)
      return reply.redirect(`${CHALLENGE_PATH}${path === null ? '' : `?to=${path}`}`, 303)
    },
  )

  app.post('/logout', { config: { access: LOGOUT }, schema: HIDDEN }, async (request, reply) => {
    await app.login.logOut(request)
    return reply.redirectWithFlash(LOGIN_PATH, 'logged-out')
  })
}

export default login
