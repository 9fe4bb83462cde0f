import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { requiresSecondFactor } from '#src/auth/second-factor.ts'
import { isTicked } from '#src/input/account.ts'
import { AppCode, Proof, readProof } from '#src/input/second-factor.ts'
import { HIDDEN, SECOND_FACTOR_SETUP } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildReplaceConfirmation } from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import {
  CurrentPassword,
  rerenderConfirmation,
  SECOND_FACTOR_CHANGE,
  secondFactorPage,
} from '#src/panel/second-factor-page.tsx'

const Setup = Type.Object({ force: Type.Optional(Type.Unknown()), ...Proof, ...CurrentPassword })

const Confirmation = Type.Object({ code: AppCode, ...CurrentPassword })

/** Shows, sets up and confirms the user's second factor. */
const setup: FastifyPluginAsyncTypebox = async app => {
  const { config, secondFactor } = app
  const show = secondFactorPage(app)

  app.get('', { config: { access: SECOND_FACTOR_SETUP }, schema: HIDDEN }, (request, reply) =>
    show(request, reply),
  )

  app.post(
    '/password',
    {
      config: { access: SECOND_FACTOR_CHANGE },
      schema: { ...HIDDEN, body: Type.Object(CurrentPassword) },
      errorHandler: rerenderForm(show),
    },
    async (_request, reply) => reply.redirectWithFlash(PATH, 'password-confirmed'),
  )

  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const { force } = request.body as { force?: unknown }
    const { status } = await secondFactor.state(request)
    if (status === 'none') return null
    if (!isTicked(force)) return { unchanged: PATH }
    const isRequired = requiresSecondFactor(request.caller(), config.requireSecondFactor)
    return status === 'confirmed' ? buildReplaceConfirmation({ isRequired }) : null
  }

  app.post(
    '/enable',
    {
      config: { access: SECOND_FACTOR_CHANGE, confirmation: confirmationFor },
      schema: { ...HIDDEN, body: Setup },
      errorHandler: rerenderConfirmation(app, confirmationFor),
    },
    async (request, reply) => {
      const isForced = isTicked(request.body.force)
      await secondFactor.enable(request, { isForced, proof: readProof(request.body) })
      return reply.redirectWithFlash(PATH, 'factor-begun')
    },
  )

  app.post(
    '/confirm',
    {
      config: { access: SECOND_FACTOR_CHANGE },
      schema: { ...HIDDEN, body: Confirmation },
      errorHandler: rerenderForm(show),
    },
    async (request, reply) => {
      await secondFactor.confirm(request, request.body.code ?? null)
      return reply.redirectWithFlash(PATH, 'factor-confirmed')
    },
  )
}

export default setup
