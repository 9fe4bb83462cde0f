import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { notFound } from '#src/answers/errors.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { listBrowsers } from '#src/database/browsers.ts'
import { listEvents } from '#src/database/events.ts'
import { isYes } from '#src/input/account.ts'
import { rowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { Devices, Events, Password } from '#src/panel/pages/account.tsx'
import { aboutEnding, aboutEndingOthers } from '#src/panel/pages/questions.tsx'

const EVENTS_PER_PAGE = 50

const account: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app
  const { kysely } = app.database

  const identityOf = (request: FastifyRequest) => request.identity as SessionIdentity

  const currentOf = (request: FastifyRequest) => identityOf(request).session.id.digest()
  const browsersOf = (request: FastifyRequest) =>
    listBrowsers(kysely, identityOf(request).user.id, clock(), config)

  app.get('/devices', { config: { access: LOGGED_IN }, schema: HIDDEN }, async (request, reply) =>
    reply.page(
      { title: 'Devices', active: 'Devices' },
      <Devices browsers={await browsersOf(request)} current={currentOf(request)} />,
    ),
  )

  app.post(
    '/devices/end-others',
    {
      config: {
        access: LOGGED_IN,
        asks: async request => {
          const others = (await browsersOf(request)).filter(({ id }) => id !== currentOf(request))
          return others.length === 0 ? { unchanged: '/admin/devices' } : aboutEndingOthers(others)
        },
      },
      schema: HIDDEN,
    },
    async (request, reply) => {
      await request.endBrowsers('others')
      return reply.done('/admin/devices', 'devices-ended')
    },
  )

  app.post(
    '/devices/:session/end',
    {
      config: {
        access: LOGGED_IN,
        asks: async request => {
          const { session } = request.params as { session: string }
          const browser = (await browsersOf(request)).find(({ id }) => id === session)
          if (browser === undefined) throw notFound()
          return aboutEnding(browser, browser.id === currentOf(request))
        },
      },
      schema: { ...HIDDEN, params: Type.Object({ session: Type.String() }) },
    },
    async (request, reply) => {
      if ((await request.endBrowsers({ id: request.params.session })) === 0) throw notFound()
      return reply.done('/admin/devices', 'device-ended')
    },
  )

  app.get(
    '/activity',
    {
      config: { access: LOGGED_IN },
      schema: { ...HIDDEN, querystring: Type.Object({ before: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const { before } = request.query
      const events = await listEvents(kysely, identityOf(request).user.id, {
        most: EVENTS_PER_PAGE,
        before: typeof before === 'string' ? rowId(before) : null,
      })
      const last = events.length === EVENTS_PER_PAGE ? events.at(-1) : undefined
      return reply.page(
        { title: 'Activity', active: 'Activity' },
        <Events events={events} older={last === undefined ? null : `/admin/activity?before=${last.id}`} />,
      )
    },
  )

  const showPassword = (reply: FastifyReply, returned: Returned & { problem?: string } = BLANK) =>
    reply.page(
      { title: 'Password', active: 'Password', problem: returned.problem },
      <Password returned={returned} />,
    )

  app.get('/password', { config: { access: LOGGED_IN }, schema: HIDDEN }, (_request, reply) =>
    showPassword(reply),
  )

  app.post(
    '/password',
    {
      config: { access: LOGGED_IN },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          current_password: OptionalPassword,
          password: OptionalPassword,
          password_confirmation: OptionalPassword,
          revoke_tokens: Type.Optional(Type.Unknown()),
        }),
      },
      errorHandler: backToForm((_request, reply, returned) => showPassword(reply, returned)),
    },
    async (request, reply) => {
      const {
        current_password: current,
        password,
        password_confirmation: repeated,
        revoke_tokens,
      } = request.body
      const revokeTokens = isYes(revoke_tokens) || config.revokeTokensOnPasswordChange
      await app.passwords.change(request, { current, password, repeated, revokeTokens })
      return reply.done('/admin/password', 'password-changed')
    },
  )
}

export default account
