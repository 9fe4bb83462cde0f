import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { aboutEnding, aboutEndingOthers } from '#src/panel/confirmations/devices.tsx'
import { Devices } from '#src/panel/pages/account.tsx'
import { DEVICES_PATH } from '#src/panel/paths.ts'
import { notFound } from '#src/responses/errors.ts'

const currentOf = (request: FastifyRequest) => request.sessionCaller().session.id.digest()

/** The browsers in which the user is logged in. */
const devices: FastifyPluginAsyncTypebox = async app => {
  const browsersOf = (request: FastifyRequest) => app.browsers.list(request.user().id)

  app.get('/devices', { config: { access: LOGGED_IN }, schema: HIDDEN }, async (request, reply) =>
    reply.page(
      { title: 'Devices', active: 'Devices' },
      <Devices browsers={await browsersOf(request)} current={currentOf(request)} />,
    ),
  )

  const askToEndOthers = async (request: FastifyRequest): Promise<Confirmable> => {
    const others = (await browsersOf(request)).filter(({ id }) => id !== currentOf(request))
    return others.length === 0 ? { unchanged: DEVICES_PATH } : aboutEndingOthers(others)
  }

  app.post(
    '/devices/end-others',
    { config: { access: LOGGED_IN, asks: askToEndOthers }, schema: HIDDEN },
    async (request, reply) => {
      await app.browsers.end(request, 'others')
      return reply.done(DEVICES_PATH, 'devices-ended')
    },
  )

  const askToEnd = async (request: FastifyRequest): Promise<Confirmable> => {
    const { session } = request.params as { session: string }
    const browser = (await browsersOf(request)).find(({ id }) => id === session)
    if (browser === undefined) throw notFound()
    return aboutEnding(browser, browser.id === currentOf(request))
  }

  app.post(
    '/devices/:session/end',
    {
      config: { access: LOGGED_IN, asks: askToEnd },
      schema: { ...HIDDEN, params: Type.Object({ session: Type.String() }) },
    },
    async (request, reply) => {
      if ((await app.browsers.end(request, { id: request.params.session })) === 0) throw notFound()
      return reply.done(DEVICES_PATH, 'device-ended')
    },
  )
}

export default devices
