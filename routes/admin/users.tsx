import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Transaction } from 'kysely'
import { Type } from 'typebox'
import { forbidden, notFound, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { EVERYTHING as BAN_FROM_EVERYTHING } from '#src/auth/ban.ts'
import { revokedDetails } from '#src/auth/events.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { holds, refusal } from '#src/auth/permission.ts'
import { isoToMillis } from '#src/auth/time.ts'
import { endBrowsers, listBrowsers } from '#src/database/browsers.ts'
import { listEvents } from '#src/database/events.ts'
import { insertNotification } from '#src/database/notifications.ts'
import {
  ensureBan,
  isRestrictionKind,
  lift,
  listRestrictionChoices,
  listRestrictions,
  restrict,
} from '#src/database/restrictions.ts'
import { changeOf, listRoles, setUserRoles } from '#src/database/roles.ts'
import type { Schema } from '#src/database/schema.ts'
import { deleteOwnTokens } from '#src/database/token-endings.ts'
import { findUserFile, searchUsers, type UserFile } from '#src/database/user-directory.ts'
import { verifyEmail } from '#src/database/users.ts'
import { isYes } from '#src/input/account.ts'
import { isJsonObject, isShownType, NOTIFICATION_LIMITS, TYPE_PATTERN } from '#src/input/notification.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { callerOf, hangUp } from '#src/lists/listing.ts'
import { HIDDEN, staff } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import type { Returned } from '#src/panel/elements.tsx'
import { iso } from '#src/panel/moment.ts'
import { aboutBan, aboutCuttingOff, aboutRoles } from '#src/panel/pages/questions.tsx'
import { EVERYTHING, User, Users } from '#src/panel/pages/users.tsx'
import type { Asked } from '#src/panel/question.ts'

const { rules } = MESSAGES

const USERS_PER_PAGE = 25
const EVENTS = 25

/** As far as anybody leafs through users who can be searched for. */
const MAX_PAGE = 10_000

const Params = Type.Object({ user: RowId })

const Text = (most: number) =>
  Type.Optional(Type.Union([Type.String({ maxLength: most, pattern: '^[^\\u0000]*$' }), Type.Null()]))

const users: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database
  const types = config.tokenableTypes

  const identityOf = (request: FastifyRequest) => request.identity as SessionIdentity
  const idOf = ({ params }: FastifyRequest) => rowId((params as { user: string }).user)

  const fileOf = async (request: FastifyRequest, db = kysely): Promise<UserFile> => {
    const file = await findUserFile(db, idOf(request), types)
    if (file === null) throw notFound()
    return file
  }

  /** @throws {HttpError} 403 for a user who is the actor, or may do something that the actor may not */
  const requireSubject = (identity: SessionIdentity, { id, permissions }: UserFile) => {
    if (id === identity.user.id) throw forbidden(MESSAGES.notToYourself)
    if (!holds(identity, permissions)) throw forbidden(MESSAGES.outranked)
  }

  /** The user of the path, for a question about what is to be done: it is judged again when it is done. */
  const subjectOf = async (request: FastifyRequest): Promise<UserFile> => {
    const file = await fileOf(request)
    requireSubject(identityOf(request), file)
    return file
  }

  /**
   * Does something to the user of the path, who may not be oneself, and may do nothing that one may not do oneself:
   * all of that is judged by what holds when it is done.
   *
   * @returns the user before, and what the change returns
   * @throws {HttpError} 404 when there is no such user, 403 when it is one of those, and as `authorized`
   */
  const change = <T,>(
    request: FastifyRequest,
    apply: (transaction: Transaction<Schema>, subject: UserFile, identity: SessionIdentity) => Promise<T>,
  ): Promise<[subject: UserFile, result: T]> =>
    request.authorized<[UserFile, T], SessionIdentity>(
      async (transaction, identity) => {
        const subject = await fileOf(request, transaction)
        requireSubject(identity, subject)
        return [subject, await apply(transaction, subject, identity)]
      },
      { subjectId: idOf(request) },
    )
  const holderOf = ({ id }: UserFile) => ({ userId: id, types })
  const doneTo = ({ id }: UserFile, request: FastifyRequest) => ({
    userId: id,
    by: identityOf(request).user.id,
  })

  app.get(
    '/users',
    {
      config: { access: staff('view user') },
      schema: {
        ...HIDDEN,
        querystring: Type.Object({ q: Type.Optional(Type.Unknown()), page: Type.Optional(Type.Unknown()) }),
      },
    },
    async (request, reply) => {
      const { q, page: number } = request.query
      const text = typeof q === 'string' ? q.trim().slice(0, 255) : ''
      const page = Math.min(Math.max(rowId(String(number ?? 1)), 1), MAX_PAGE)
      const asker = { caller: callerOf(request), isHeavy: false, signal: hangUp(request) }
      const found = await app.database.list(asker, db =>
        searchUsers(db, {
          text,
          types,
          offset: (page - 1) * USERS_PER_PAGE,
          most: USERS_PER_PAGE + 1,
        }),
      )
      const at = (other: number) => `/admin/users?${new URLSearchParams({ q: text, page: String(other) })}`
      return reply.page(
        { title: 'Users', active: 'Users' },
        <Users
          users={found.slice(0, USERS_PER_PAGE)}
          text={text}
          previous={page > 1 ? at(page - 1) : null}
          next={found.length > USERS_PER_PAGE && page < MAX_PAGE ? at(page + 1) : null}
        />,
      )
    },
  )

  const showOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    {
      problem,
      ...returned
    }: { roles?: Returned; ban?: Returned; notification?: Returned; problem?: string } = {},
  ) => {
    const file = await fileOf(request)
    const identity = identityOf(request)
    const isSubject = file.id !== identity.user.id && holds(identity, file.permissions)
    const may = (permission: string) => isSubject && refusal(identity, permission) === null
    // What others did to oneself is for others to look into.
    const events = await listEvents(kysely, file.id, {
      most: EVENTS,
      withActors: file.id !== identity.user.id,
    })
    const restrictions = await listRestrictions(kysely, holderOf(file), clock())
    const choices = await listRestrictionChoices(kysely)
    const { roles } = await listRoles(kysely)
    return reply.page(
      { title: file.name, active: 'Users', problem },
      <User
        file={file}
        roles={roles.map(({ name }) => name)}
        restrictions={restrictions}
        choices={choices}
        events={events}
        may={{ update: may('update user'), ban: may('create sanction'), lift: may('delete sanction') }}
        owesPassword={request.owesPassword()}
        returned={returned}
      />,
    )
  }

  const back = (form: 'roles' | 'ban' | 'notification') =>
    backToForm((request, reply, returned) =>
      showOne(request, reply, { [form]: returned, problem: returned.problem }),
    )

  app.get(
    '/users/:user',
    { config: { access: staff('view user') }, schema: { ...HIDDEN, params: Params } },
    (request, reply) => showOne(request, reply),
  )

  app.post(
    '/users/:user/verify',
    { config: { access: staff('view user', 'update user') }, schema: { ...HIDDEN, params: Params } },
    async (request, reply) => {
      const [file, isVerified] = await change(request, (transaction, { id, email }) =>
        verifyEmail(transaction, { userId: id, email, types }, clock()),
      )
      if (isVerified) request.record('email verified', doneTo(file, request))
      return reply.done(`/admin/users/${file.id}`, 'user-verified')
    },
  )

  const askRoles = async (request: FastifyRequest): Promise<Asked> => {
    const { roles: names = [] } = request.body as { roles?: string[] }
    const file = await subjectOf(request)
    const { roles } = await listRoles(kysely)
    const namesOf = (all: readonly string[]) =>
      roles.filter(({ name }) => all.includes(name)).map(({ name }) => name)
    const change = changeOf(namesOf(file.roles), namesOf(names))
    const changed = [...change.granted, ...change.revoked]
    if (changed.length === 0) return { unchanged: `/admin/users/${file.id}` }
    const mayChange = roles.every(
      ({ name, permissions }) => !changed.includes(name) || holds(identityOf(request), permissions),
    )
    if (!mayChange) throw forbidden(MESSAGES.outranked)
    return aboutRoles(file, change)
  }

  app.post(
    '/users/:user/roles',
    {
      config: {
        access: { ...staff('view user', 'update user'), password: 'confirmed or entered' },
        asks: askRoles,
      },
      schema: {
        ...HIDDEN,
        params: Params,
        body: Type.Object({
          roles: Type.Optional(Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })),
          current_password: OptionalPassword,
        }),
      },
      errorHandler: back('roles'),
    },
    async (request, reply) => {
      const [file, changed] = await change(request, (transaction, subject, identity) =>
        setUserRoles(transaction, holderOf(subject), {
          names: request.body.roles ?? [],
          mayChange: role => holds(identity, role.permissions),
        }),
      )
      if (changed === 'not allowed') throw forbidden(MESSAGES.outranked)
      for (const name of changed.granted) request.record('role granted', { ...doneTo(file, request), name })
      for (const name of changed.revoked) request.record('role revoked', { ...doneTo(file, request), name })
      return reply.done(`/admin/users/${file.id}`, 'user-roles')
    },
  )

  const askRevoke = async (request: FastifyRequest): Promise<Asked> => {
    const file = await subjectOf(request)
    const { length: browsers } = await listBrowsers(kysely, file.id, clock(), config)
    return file.tokens + browsers === 0
      ? { unchanged: `/admin/users/${file.id}` }
      : aboutCuttingOff(file, browsers)
  }

  app.post(
    '/users/:user/revoke',
    {
      config: { access: staff('view user', 'update user'), asks: askRevoke },
      schema: { ...HIDDEN, params: Params },
    },
    async (request, reply) => {
      const [file, ended] = await change(request, async (transaction, subject) => {
        await endBrowsers(transaction, subject.id, { except: null })
        return deleteOwnTokens(transaction, holderOf(subject), { except: null })
      })
      if (ended.length > 0) {
        request.record('token revoked', { ...doneTo(file, request), which: 'all', ...revokedDetails(ended) })
      }
      request.record('session ended', { ...doneTo(file, request), which: 'all' })
      return reply.done(`/admin/users/${file.id}`, 'user-revoked')
    },
  )

  /** What a form calls a ban: its kind and id. */
  const banOf = (text: string) => {
    const [kind, id = ''] = text.split(':')
    return isRestrictionKind(kind) ? { kind, id: rowId(id) } : null
  }

  /** When a ban is to end, in milliseconds since the epoch; null for never. @throws {HttpError} 422 */
  const endOfBan = ({ body }: FastifyRequest): number | null => {
    const { expires_at: until = null, permanent } = body as {
      expires_at?: string | null
      permanent?: unknown
    }
    if ((until === null) !== isYes(permanent)) {
      throw unprocessable({
        expires_at: [until === null ? MESSAGES.banWithoutEnd : MESSAGES.banWithTwoEnds],
      })
    }
    if (until === null) return null
    const expiresAt = isoToMillis(until)
    if (Number.isNaN(expiresAt)) throw unprocessable({ expires_at: [rules.isoDate('expires at')] })
    if (!(expiresAt > clock())) throw unprocessable({ expires_at: [rules.future('expires at')] })
    return expiresAt
  }

  const askBan = async (request: FastifyRequest): Promise<Asked> => {
    const { ban: named, reason = null } = request.body as { ban: string; reason?: string | null }
    const file = await subjectOf(request)
    const until = endOfBan(request)
    const wanted = banOf(named)
    const choices = await listRestrictionChoices(kysely)
    const choice = choices.find(({ kind, id }) => kind === wanted?.kind && id === wanted.id)
    const name = named === EVERYTHING ? BAN_FROM_EVERYTHING : choice?.name
    if (name === undefined) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
    const held = await listRestrictions(kysely, holderOf(file), clock())
    const present = held.find(one => one.name === name && one.kind === (wanted?.kind ?? 'sanction')) ?? null
    return aboutBan(file, { name: named === EVERYTHING ? EVERYTHING : name, reason, until, present })
  }

  app.post(
    '/users/:user/ban',
    {
      config: { access: staff('view user', 'create sanction'), asks: askBan },
      schema: {
        ...HIDDEN,
        params: Params,
        body: Type.Object({
          ban: Type.String({ maxLength: 50 }),
          reason: Text(1000),
          expires_at: Text(50),
          permanent: Type.Optional(Type.Unknown()),
        }),
      },
      errorHandler: back('ban'),
    },
    async (request, reply) => {
      const { ban: named, reason = null } = request.body
      const now = clock()
      const expiresAt = endOfBan(request)
      const ban =
        named === EVERYTHING
          ? ({ kind: 'sanction', id: await ensureBan(kysely, now) } as const)
          : banOf(named)
      const [file, name] = await change(
        request,
        async (transaction, subject, { user }) =>
          ban &&
          restrict(transaction, holderOf(subject), ban, { reason, expiresAt, moderatorId: user.id, now }),
      )
      if (name === null) throw unprocessable({ ban: [MESSAGES.unknownRestriction] })
      request.record('banned', { ...doneTo(file, request), name, reason })
      await app.mail.sendBan(file, { name, reason, until: expiresAt === null ? null : iso(expiresAt) })
      return reply.done(`/admin/users/${file.id}`, 'user-banned')
    },
  )

  app.post(
    '/users/:user/lift',
    {
      config: { access: staff('view user', 'delete sanction') },
      schema: { ...HIDDEN, params: Params, body: Type.Object({ ban: Type.String({ maxLength: 50 }) }) },
    },
    async (request, reply) => {
      const ban = banOf(request.body.ban)
      const [file, name] = await change(
        request,
        async (transaction, subject) => ban && lift(transaction, holderOf(subject), ban),
      )
      if (name === null) throw notFound()
      request.record('ban lifted', { ...doneTo(file, request), name })
      return reply.done(`/admin/users/${file.id}`, 'user-lifted')
    },
  )

  app.post(
    '/users/:user/notify',
    {
      config: { access: staff('view user', 'update user') },
      schema: {
        ...HIDDEN,
        params: Params,
        body: Type.Object({
          type: Type.String({ minLength: 1, maxLength: NOTIFICATION_LIMITS.type, pattern: TYPE_PATTERN }),
          data: Type.String({ maxLength: NOTIFICATION_LIMITS.data, pattern: '^[^\\u0000]*$' }),
        }),
      },
      errorHandler: back('notification'),
    },
    async (request, reply) => {
      const { type, data } = request.body
      if (!isShownType(type)) throw unprocessable({ type: [rules.selected('type')] })
      if (!isJsonObject(data)) throw unprocessable({ data: [rules.jsonObject('data')] })
      const [file] = await change(request, (transaction, { id: userId }) => {
        const notification = { id: randomUUID(), userId, userType: types[0], type, data, now: clock() }
        return insertNotification(transaction, notification)
      })
      request.record('notified', { ...doneTo(file, request), type })
      return reply.done(`/admin/users/${file.id}`, 'user-notified')
    },
  )
}

export default users
