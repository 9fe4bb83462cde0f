import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { NamedBan, WantedBan } from '#src/accounts/bans.ts'
import { isRestrictionKind } from '#src/database/restrictions.ts'
import { rowId } from '#src/input/row-id.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { aboutBan } from '#src/panel/confirmations/users.tsx'
import { EVERYTHING } from '#src/panel/pages/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { backToUser, UserParams, userIdOf } from '#src/panel/user-page.tsx'

const Text = (most: number) =>
  Type.Optional(Type.Union([Type.String({ maxLength: most, pattern: '^[^\\u0000]*$' }), Type.Null()]))

/** What is banned from, as `everything` or as kind and id: `sanction:3`. */
const BanText = Type.String({ maxLength: 50 })

const Body = Type.Object({
  ban: BanText,
  reason: Text(1000),
  expires_at: Text(50),
  permanent: Type.Optional(Type.Unknown()),
})

function namedBan(text: string): NamedBan | null {
  const [kind, id = ''] = text.split(':')
  return isRestrictionKind(kind) ? { kind, id: rowId(id) } : null
}

function wantedBan({ body }: FastifyRequest): WantedBan {
  const { ban, reason = null, expires_at = null, permanent } = body as Type.Static<typeof Body>
  return { from: ban === EVERYTHING ? 'everything' : namedBan(ban), reason, expires_at, permanent }
}

/** The bans of a user. */
const bans: FastifyPluginAsyncTypebox = async app => {
  const ask = async (request: FastifyRequest): Promise<Confirmable> => {
    const wanted = wantedBan(request)
    const { subject, name, until, present } = await app.bans.plan(
      request.sessionCaller(),
      userIdOf(request),
      wanted,
    )
    const asked = wanted.from === 'everything' ? EVERYTHING : name
    return aboutBan(subject, { name: asked, reason: wanted.reason, until, present })
  }

  app.post(
    '/ban',
    {
      config: { access: staff('view user', 'create sanction'), asks: ask },
      schema: { ...HIDDEN, params: UserParams, body: Body },
      errorHandler: backToUser(app, 'ban'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.bans.ban(request, userId, wantedBan(request))
      return reply.done(userPath(userId), 'user-banned')
    },
  )

  app.post(
    '/lift',
    {
      config: { access: staff('view user', 'delete sanction') },
      schema: { ...HIDDEN, params: UserParams, body: Type.Object({ ban: BanText }) },
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.bans.lift(request, userId, namedBan(request.body.ban))
      return reply.done(userPath(userId), 'user-lifted')
    },
  )
}

export default bans
