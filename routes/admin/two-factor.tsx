import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { Proof, proofOf } from '#src/input/second-factor.ts'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { destinationOf, isLoggedIn, redirectToDestination, To } from '#src/panel/after-login.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { Challenge } from '#src/panel/pages/login.tsx'
import { LOGIN_PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const show = (reply: FastifyReply, to: unknown, returned: Returned & { problem?: string } = BLANK) =>
  reply.page(
    { title: 'Second factor', problem: returned.problem },
    <Challenge returned={returned} to={destinationOf(to)} />,
  )

/** The second step of a login. */
const challenge: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/two-factor',
    { config: { access: ANYBODY }, schema: { ...HIDDEN, querystring: Type.Object({ to: To }) } },
    async (request, reply) => {
      if (isLoggedIn(request)) return redirectToDestination(reply, request.query.to)
      return app.login.isChallenged(request) ? show(reply, request.query.to) : reply.redirect(LOGIN_PATH, 303)
    },
  )

  app.post(
    '/two-factor',
    {
      config: { access: ANYBODY },
      schema: { ...HIDDEN, body: Type.Object({ ...Proof, to: To }) },
      errorHandler: rerenderForm((_request, reply, returned) => show(reply, returned.entered.to, returned)),
    },
    async (request, reply) => {
      const { to } = request.body
      if (isLoggedIn(request)) return redirectToDestination(reply, to)
      if (!app.login.isChallenged(request)) return reply.redirect(LOGIN_PATH, 303)
      await app.login.answerChallenge(request, proofOf(request.body))
      return redirectToDestination(reply, to)
    },
  )
}

export default challenge
