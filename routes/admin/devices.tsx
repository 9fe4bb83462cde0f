import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildLogoutConfirmation, buildLogoutOthersConfirmation } from '#src/panel/confirmations/devices.tsx'
import { Devices } from '#src/panel/pages/account.tsx'
import { DEVICES_PATH } from '#src/panel/paths.ts'
import { notFound } from '#src/responses/errors.ts'

const currentOf = (request: FastifyRequest) => request.sessionCaller().session.id.digest()

/** Lists the browsers in which the user is logged in, and logs them out. */
const devices: FastifyPluginAsyncTypebox = async app => {
  const browsersOf = (request: FastifyRequest) => app.browsers.list(request.user().id)

  app.get('/devices', { config: { access: LOGGED_IN }, schema: HIDDEN }, async (request, reply) =>
    reply.sendPage(
      { title: 'Devices', active: 'Devices' },
      <Devices browsers={await browsersOf(request)} current={currentOf(request)} />,
    ),
  )

  const logoutOthersConfirmation = async (request: FastifyRequest): Promise<Confirmable> => {
    const others = (await browsersOf(request)).filter(({ id }) => id !== currentOf(request))
    return others.length === 0 ? { unchanged: DEVICES_PATH } : buildLogoutOthersConfirmation(others)
  }

  app.post(
    '/devices/end-others',
    { config: { access: LOGGED_IN, confirmation: logoutOthersConfirmation }, schema: HIDDEN },
    async (request, reply) => {
      await app.browsers.end(request, 'others')
      return reply.redirectWithFlash(DEVICES_PATH, 'devices-ended')
    },
  )

  const logoutConfirmation = async (request: FastifyRequest): Promise<Confirmable> => {
    const { session } = request.params as { session: string }
    const browser = (await browsersOf(request)).find(({ id }) => id === session)
    if (browser === undefined) throw notFound()
    return buildLogoutConfirmation(browser, browser.id === currentOf(request))
  }

  app.post(
    '/devices/:session/end',
    {
      config: { access: LOGGED_IN, confirmation: logoutConfirmation },
      schema: { ...HIDDEN, params: Type.Object({ session: Type.String() }) },
    },
    async (request, reply) => {
      if ((await app.browsers.end(request, { id: request.params.session })) === 0) throw notFound()
      return reply.redirectWithFlash(DEVICES_PATH, 'device-ended')
    },
  )
}

export default devices
