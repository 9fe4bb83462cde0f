import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { NamedBan, WantedBan } from '#src/accounts/bans.ts'
import { isRestrictionKind } from '#src/database/restrictions.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { HIDDEN, staffAccess } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildBanConfirmation } from '#src/panel/confirmations/users.tsx'
import { EVERYTHING } from '#src/panel/pages/users.tsx'
import { userPath } from '#src/panel/paths.ts'
import { rerenderUserPage, UserParams, userIdOf } from '#src/panel/user-page.tsx'

const Text = (maxLength: number) =>
  Type.Optional(Type.Union([Type.String({ maxLength, pattern: '^[^\\u0000]*$' }), Type.Null()]))

/** The target of a ban: `everything`, or kind and id, such as `sanction:3`. */
const BanText = Type.String({ maxLength: 50 })

const Body = Type.Object({
  ban: BanText,
  reason: Text(1000),
  expires_at: Text(50),
  permanent: Type.Optional(Type.Unknown()),
})

function parseBanTarget(text: string): NamedBan | null {
  const [kind, id = ''] = text.split(':')
  return isRestrictionKind(kind) ? { kind, id: parseRowId(id) } : null
}

function readBan({ body }: FastifyRequest): WantedBan {
  const { ban, reason = null, expires_at = null, permanent } = body as Type.Static<typeof Body>
  return { from: ban === EVERYTHING ? 'everything' : parseBanTarget(ban), reason, expires_at, permanent }
}

/** Bans a user, and lifts bans. */
const bans: FastifyPluginAsyncTypebox = async app => {
  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const ban = readBan(request)
    const { target, name, until, replaced } = await app.bans.plan(
      request.sessionCaller(),
      userIdOf(request),
      ban,
    )
    const from = ban.from === 'everything' ? EVERYTHING : name
    return buildBanConfirmation(target, { name: from, reason: ban.reason, until, replaced })
  }

  app.post(
    '/ban',
    {
      config: { access: staffAccess('view user', 'create sanction'), confirmation: confirmationFor },
      schema: { ...HIDDEN, params: UserParams, body: Body },
      errorHandler: rerenderUserPage(app, 'ban'),
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.bans.ban(request, userId, readBan(request))
      return reply.redirectWithFlash(userPath(userId), 'user-banned')
    },
  )

  app.post(
    '/lift',
    {
      config: { access: staffAccess('view user', 'delete sanction') },
      schema: { ...HIDDEN, params: UserParams, body: Type.Object({ ban: BanText }) },
    },
    async (request, reply) => {
      const userId = userIdOf(request)
      await app.bans.lift(request, userId, parseBanTarget(request.body.ban))
      return reply.redirectWithFlash(userPath(userId), 'user-lifted')
    },
  )
}

export default bans
