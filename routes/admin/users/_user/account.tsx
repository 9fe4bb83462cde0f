import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildEndAccessConfirmation } from '#src/panel/confirmations/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { UserParams, userIdOf, userPage } from '#src/panel/user-page.tsx'

/** Shows a user to staff, verifies the e-mail address, and revokes tokens and sessions. */
const account: FastifyPluginAsyncTypebox = async app => {
  const show = userPage(app)
  const schema = { ...HIDDEN, params: UserParams }

  app.get('', { config: { access: staffAccess('view user') }, schema }, (request, reply) =>
    show(request, reply),
  )

  app.post(
    '/verify',
    { config: { access: staffAccess('view user', 'update user') }, schema },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.users.verifyEmail(request, userId)
      return reply.redirectWithFlash(userPath(userId), 'user-verified')
    },
  )

  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const target = await app.staffActions.findTarget(request.sessionCaller(), userIdOf(request))
    const { length: browsers } = await app.browsers.list(target.id)
    return target.tokens + browsers === 0
      ? { unchanged: userPath(target.id) }
      : buildEndAccessConfirmation(target, browsers)
  }

  app.post(
    '/revoke',
    { config: { access: staffAccess('view user', 'update user'), confirmation: confirmationFor }, schema },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.users.endAccess(request, userId)
      return reply.redirectWithFlash(userPath(userId), 'user-revoked')
    },
  )
}

export default account
