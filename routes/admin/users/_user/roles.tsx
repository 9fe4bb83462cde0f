import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { aboutRoles } from '#src/panel/confirmations/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { backToUser, UserParams, userIdOf } from '#src/panel/user-page.tsx'

const Body = Type.Object({
  roles: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })),
  current_password: OptionalPassword,
})

/** The roles of a user. */
const roles: FastifyPluginAsyncTypebox = async app => {
  const ask = async (request: FastifyRequest): Promise<Confirmable> => {
    const { roles: names = [] } = request.body as Type.Static<typeof Body>
    const { subject, change } = await app.roles.changeForUser(
      request.sessionCaller(),
      userIdOf(request),
      names,
    )
    return change.granted.length + change.revoked.length === 0
      ? { unchanged: userPath(subject.id) }
      : aboutRoles(subject, change)
  }

  app.post(
    '/roles',
    {
      config: {
        access: { ...staff('view user', 'update user'), password: 'confirmed or entered' },
        asks: ask,
      },
      schema: { ...HIDDEN, params: UserParams, body: Body },
      errorHandler: backToUser(app, 'roles'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.roles.setForUser(request, userId, request.body.roles ?? [])
      return reply.done(userPath(userId), 'user-roles')
    },
  )
}

export default roles
