import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { forbidden, HttpError, notFound } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { holds, refusal } from '#src/auth/permission.ts'
import { changeOf, countHolders, listRoles, setRolePermissions } from '#src/database/roles.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { aboutRole } from '#src/panel/pages/questions.tsx'
import { RolePage, Roles } from '#src/panel/pages/roles.tsx'
import type { Asked } from '#src/panel/question.ts'

const Params = Type.Object({ role: RowId })

const roles: FastifyPluginAsyncTypebox = async app => {
  const { kysely } = app.database

  const identityOf = (request: FastifyRequest) => request.identity as SessionIdentity
  const idOf = ({ params }: FastifyRequest) => rowId((params as { role: string }).role)

  app.get('/roles', { config: { access: staff('view role') }, schema: HIDDEN }, async (request, reply) => {
    const book = await listRoles(kysely)
    const mayUpdate = refusal(identityOf(request), 'update role') === null
    return reply.page({ title: 'Roles', active: 'Roles' }, <Roles book={book} mayUpdate={mayUpdate} />)
  })

  const showOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ) => {
    const book = await listRoles(kysely)
    const role = book.roles.find(({ id }) => id === idOf(request))
    if (role === undefined) throw notFound()
    return reply.page(
      { title: role.name, active: 'Roles', problem: returned.problem },
      <RolePage
        role={role}
        book={book}
        mayChange={permissions => holds(identityOf(request), permissions)}
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

  /** What a form would have a role allow. @throws {HttpError} 403, 404 and 409, as what comes after */
  const ask = async (request: FastifyRequest): Promise<Asked> => {
    const { version, permissions = [] } = request.body as { version: string; permissions?: string[] }
    const book = await listRoles(kysely)
    const role = book.roles.find(({ id }) => id === idOf(request))
    if (role === undefined) throw notFound()
    const wanted = book.permissions.filter(name => permissions.includes(name))
    if (!holds(identityOf(request), [...role.permissions, ...wanted])) throw forbidden(MESSAGES.outranked)
    if (book.version !== Number(version)) throw new HttpError(409, MESSAGES.changedMeanwhile)
    const change = changeOf(role.permissions, wanted)
    if (change.granted.length + change.revoked.length === 0) return { unchanged: `/admin/roles/${role.id}` }
    return aboutRole(role, change, await countHolders(kysely, role.id, app.config.tokenableTypes))
  }

  app.post(
    '/roles/:role',
    {
      config: {
        access: { ...staff('view role', 'update role'), password: 'confirmed or entered' },
        asks: ask,
      },
      schema: {
        ...HIDDEN,
        params: Params,
        body: Type.Object({
          version: Type.String({ pattern: '^\\d{1,15}$' }),
          permissions: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 1000 })),
          current_password: OptionalPassword,
        }),
      },
      errorHandler: backToForm(showOne),
    },
    async (request, reply) => {
      const { user } = identityOf(request)
      const id = idOf(request)
      const changed = await request.authorized(
        (transaction, identity) =>
          setRolePermissions(transaction, id, {
            names: request.body.permissions ?? [],
            version: Number(request.body.version),
            holdsAll: permissions => holds(identity, permissions),
          }),
        { changesRoles: true },
      )
      if (changed === 'no such role') throw notFound()
      if (changed === 'changed meanwhile') throw new HttpError(409, MESSAGES.changedMeanwhile)
      if (changed === 'not allowed') throw forbidden(MESSAGES.outranked)
      const { role, granted, revoked } = changed
      request.record('role changed', {
        userId: user.id,
        role,
        granted: granted.join(', '),
        revoked: revoked.join(', '),
      })
      return reply.done(`/admin/roles/${id}`, 'role-changed')
    },
  )
}

export default roles
