import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildUserRolesConfirmation } from '#src/panel/confirmations/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { rerenderUserPage, UserParams, userIdOf } from '#src/panel/user-page.tsx'

const Body = Type.Object({
  roles: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })),
  current_password: OptionalPassword,
})

/** Changes the roles of a user. */
const roles: FastifyPluginAsyncTypebox = async app => {
  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const { roles: names = [] } = request.body as Type.Static<typeof Body>
    const { target, change } = await app.roles.previewUserRoles(
      request.sessionCaller(),
      userIdOf(request),
      names,
    )
    return change.granted.length + change.revoked.length === 0
      ? { unchanged: userPath(target.id) }
      : buildUserRolesConfirmation(target, change)
  }

  app.post(
    '/roles',
    {
      config: {
        access: { ...staffAccess('view user', 'update user'), password: 'confirmed or entered' },
        confirmation: confirmationFor,
      },
      schema: { ...HIDDEN, params: UserParams, body: Body },
      errorHandler: rerenderUserPage(app, 'roles'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.roles.setForUser(request, userId, request.body.roles ?? [])
      return reply.redirectWithFlash(userPath(userId), 'user-roles')
    },
  )
}

export default roles
