import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { notFound } from '#src/answers/errors.ts'
import { listEvents } from '#src/database/events.ts'
import { isYes } from '#src/input/account.ts'
import { rowId } from '#src/input/row-id.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { Devices, Events, Password } from '#src/panel/pages/account.tsx'
import { aboutEnding, aboutEndingOthers } from '#src/panel/pages/questions.tsx'
import { DEVICES_PATH, olderActivityPath, PASSWORD_PATH } from '#src/panel/paths.ts'

const EVENTS_PER_PAGE = 50

const account: FastifyPluginAsyncTypebox = async app => {
  const currentOf = (request: FastifyRequest) => request.sessionCaller().session.id.digest()
  const browsersOf = (request: FastifyRequest) => app.browsers.list(request.user().id)

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
          return others.length === 0 ? { unchanged: DEVICES_PATH } : aboutEndingOthers(others)
        },
      },
      schema: HIDDEN,
    },
    async (request, reply) => {
      await app.browsers.end(request, 'others')
      return reply.done(DEVICES_PATH, 'devices-ended')
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
      if ((await app.browsers.end(request, { id: request.params.session })) === 0) throw notFound()
      return reply.done(DEVICES_PATH, 'device-ended')
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
      const events = await listEvents(app.database.kysely, request.user().id, {
        most: EVENTS_PER_PAGE,
        before: typeof before === 'string' ? rowId(before) : null,
      })
      const last = events.length === EVENTS_PER_PAGE ? events.at(-1) : undefined
      return reply.page(
        { title: 'Activity', active: 'Activity' },
        <Events events={events} older={last === undefined ? null : olderActivityPath(last.id)} />,
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
      const revokeTokens = isYes(revoke_tokens) || app.config.revokeTokensOnPasswordChange
      await app.passwords.change(request, { current, password, repeated, revokeTokens })
      return reply.done(PASSWORD_PATH, 'password-changed')
    },
  )
}

export default account
