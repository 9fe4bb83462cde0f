import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { HIDDEN, staff } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { aboutCuttingOff } from '#src/panel/confirmations/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { showingUser, UserParams, userIdOf } from '#src/panel/user-page.tsx'

/** A user's account, as staff see it. */
const account: FastifyPluginAsyncTypebox = async app => {
  const show = showingUser(app)
  const schema = { ...HIDDEN, params: UserParams }

  app.get('', { config: { access: staff('view user') }, schema }, (request, reply) => show(request, reply))

  app.post(
    '/verify',
    { config: { access: staff('view user', 'update user') }, schema },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.users.verifyEmail(request, userId)
      return reply.done(userPath(userId), 'user-verified')
    },
  )

  const ask = async (request: FastifyRequest): Promise<Confirmable> => {
    const subject = await app.subjects.judged(request.sessionCaller(), userIdOf(request))
    const { length: browsers } = await app.browsers.list(subject.id)
    return subject.tokens + browsers === 0
      ? { unchanged: userPath(subject.id) }
      : aboutCuttingOff(subject, browsers)
  }

  app.post(
    '/revoke',
    { config: { access: staff('view user', 'update user'), asks: ask }, schema },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.users.endAccess(request, userId)
      return reply.done(userPath(userId), 'user-revoked')
    },
  )
}

export default account
