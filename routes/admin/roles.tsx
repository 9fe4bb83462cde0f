import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { RolePermissions } from '#src/accounts/roles.ts'
import { findRefusal, hasAllPermissions } from '#src/auth/permission.ts'
import { parseRowId, RowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildRoleConfirmation } from '#src/panel/confirmations/roles.tsx'
import { EMPTY_FORM, type FormState } from '#src/panel/elements.tsx'
import { RolePage, Roles } from '#src/panel/pages/roles.tsx'
import { rolePath } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Params = Type.Object({ role: RowId })

const Body = Type.Object({
  version: Type.String({ pattern: '^\\d{1,15}$' }),
  permissions: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 1000 })),
  current_password: OptionalPassword,
})

/** Returns the permissions that a form requests for a role. */
function readPermissions({ body }: FastifyRequest): RolePermissions {
  const { version, permissions = [] } = body as Type.Static<typeof Body>
  return { names: permissions, version: Number(version) }
}

/** Lists roles, and changes their permissions. */
const roles: FastifyPluginAsyncTypebox = async app => {
  const idOf = ({ params }: FastifyRequest) => parseRowId((params as { role: string }).role)

  app.get(
    '/roles',
    { config: { access: staffAccess('view role') }, schema: HIDDEN },
    async (request, reply) => {
      const book = await app.roles.book()
      const mayUpdate = findRefusal(request.sessionCaller(), 'update role') === null
      return reply.sendPage({ title: 'Roles', active: 'Roles' }, <Roles book={book} mayUpdate={mayUpdate} />)
    },
  )

  const showOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    formState: FormState & { problem?: string } = EMPTY_FORM,
  ) => {
    const { book, role } = await app.roles.find(idOf(request))
    return reply.sendPage(
      { title: role.name, active: 'Roles', problem: formState.problem },
      <RolePage
        role={role}
        book={book}
        mayChange={permissions => hasAllPermissions(request.sessionCaller(), permissions)}
        owesPassword={request.owesPassword()}
        // After a conflict show the current state, so that the other user's change is not overwritten.
        formState={reply.statusCode === 409 ? EMPTY_FORM : formState}
      />,
    )
  }

  app.get(
    '/roles/:role',
    { config: { access: staffAccess('view role', 'update role') }, schema: { ...HIDDEN, params: Params } },
    (request, reply) => showOne(request, reply),
  )

  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const id = idOf(request)
    const { role, change } = await app.roles.previewPermissions(
      request.sessionCaller(),
      id,
      readPermissions(request),
    )
    return change.granted.length + change.revoked.length === 0
      ? { unchanged: rolePath(id) }
      : buildRoleConfirmation(role, change, await app.roles.countHolders(id))
  }

  app.post(
    '/roles/:role',
    {
      config: {
        access: { ...staffAccess('view role', 'update role'), password: 'confirmed or entered' },
        confirmation: confirmationFor,
      },
      schema: { ...HIDDEN, params: Params, body: Body },
      errorHandler: rerenderForm(showOne),
    },
    async (request, reply) => {
      const id = idOf(request)
      await app.roles.setPermissions(request, id, readPermissions(request))
      return reply.redirectWithFlash(rolePath(id), 'role-changed')
    },
  )
}

export default roles
