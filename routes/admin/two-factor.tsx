import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { Proof, readProof } from '#src/input/second-factor.ts'
import { HIDDEN, PUBLIC } from '#src/panel/access.ts'
import { destinationOf, isLoggedIn, redirectToDestination, To } from '#src/panel/after-login.ts'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { Challenge } from '#src/panel/pages/login.tsx'
import { LOGIN_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const show = (reply: FastifyReply, to: unknown, formState: FormState & { problem?: string } = EMPTY_FORM) =>
  reply.sendPage(
    { title: 'Second factor', problem: formState.problem },
    <Challenge formState={formState} to={destinationOf(to)} />,
  )

/** Asks for the second factor during login. */
const challenge: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/two-factor',
    { config: { access: PUBLIC }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) => {
      if (isLoggedIn(request)) return redirectToDestination(reply, request.query.to)
      return app.login.isChallenged(request) ? show(reply, request.query.to) : reply.redirect(LOGIN_PATH, 303)
    },
  )

  app.post(
    '/two-factor',
    {
      config: { access: PUBLIC },
      schema: { ...HIDDEN, body: Type.Object({ ...Proof, to: To }) },
      errorHandler: rerenderForm((_request, reply, formState) => show(reply, formState.values.to, formState)),
    },
    async (request, reply) => {
      const { to } = request.body
      if (isLoggedIn(request)) return redirectToDestination(reply, to)
      if (!app.login.isChallenged(request)) return reply.redirect(LOGIN_PATH, 303)
      await app.login.completeChallenge(request, readProof(request.body))
      return redirectToDestination(reply, to)
    },
  )
}

export default challenge
