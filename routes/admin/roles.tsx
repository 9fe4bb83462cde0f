import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { RolePermissions } from '#src/accounts/roles.ts'
import { holds, refusal } from '#src/auth/permission.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { aboutRole } from '#src/panel/confirmations/roles.tsx'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { RolePage, Roles } from '#src/panel/pages/roles.tsx'
import { rolePath } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'

const Params = Type.Object({ role: RowId })

const Body = Type.Object({
  version: Type.String({ pattern: '^\\d{1,15}$' }),
  permissions: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 1000 })),
  current_password: OptionalPassword,
})

/** What a form would have a role allow. */
function wantedOf({ body }: FastifyRequest): RolePermissions {
  const { version, permissions = [] } = body as Type.Static<typeof Body>
  return { names: permissions, version: Number(version) }
}

/** What roles allow. */
const roles: FastifyPluginAsyncTypebox = async app => {
  const idOf = ({ params }: FastifyRequest) => rowId((params as { role: string }).role)

  app.get('/roles', { config: { access: staff('view role') }, schema: HIDDEN }, async (request, reply) => {
    const book = await app.roles.book()
    const mayUpdate = refusal(request.sessionCaller(), 'update role') === null
    return reply.page({ title: 'Roles', active: 'Roles' }, <Roles book={book} mayUpdate={mayUpdate} />)
  })

  const showOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ) => {
    const { book, role } = await app.roles.find(idOf(request))
    return reply.page(
      { title: role.name, active: 'Roles', problem: returned.problem },
      <RolePage
        role={role}
        book={book}
        mayChange={permissions => holds(request.sessionCaller(), permissions)}
        owesPassword={request.owesPassword()}
        // What somebody else has changed meanwhile is to be looked at, and not overwritten.
        returned={reply.statusCode === 409 ? BLANK : returned}
      />,
    )
  }

  app.get(
    '/roles/:role',
    { config: { access: staff('view role', 'update role') }, schema: { ...HIDDEN, params: Params } },
    (request, reply) => showOne(request, reply),
  )

  const ask = async (request: FastifyRequest): Promise<Confirmable> => {
    const id = idOf(request)
    const { role, change } = await app.roles.changeOfPermissions(
      request.sessionCaller(),
      id,
      wantedOf(request),
    )
    return change.granted.length + change.revoked.length === 0
      ? { unchanged: rolePath(id) }
      : aboutRole(role, change, await app.roles.countHolders(id))
  }

  app.post(
    '/roles/:role',
    {
      config: {
        access: { ...staff('view role', 'update role'), password: 'confirmed or entered' },
        asks: ask,
      },
      schema: { ...HIDDEN, params: Params, body: Body },
      errorHandler: rerenderForm(showOne),
    },
    async (request, reply) => {
      const id = idOf(request)
      await app.roles.setPermissions(request, id, wantedOf(request))
      return reply.done(rolePath(id), 'role-changed')
    },
  )
}

export default roles
