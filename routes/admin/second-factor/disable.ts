import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { requiresSecondFactor } from '#src/auth/second-factor.ts'
import { Proof, readProof } from '#src/input/second-factor.ts'
import { HIDDEN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { buildDisableConfirmation, DISCARD_CONFIRMATION } from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import {
  CurrentPassword,
  rerenderConfirmation,
  SECOND_FACTOR_CHANGE,
} from '#src/panel/second-factor-page.tsx'

const disabling: FastifyPluginAsyncTypebox = async app => {
  const { config, secondFactor } = app

  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> => {
    const { status } = await secondFactor.state(request)
    if (status === 'none') return { unchanged: PATH }
    if (status === 'unconfirmed') return DISCARD_CONFIRMATION
    return buildDisableConfirmation({
      isRequired: requiresSecondFactor(request.caller(), config.requireSecondFactor),
      takesCode: config.twoFactorDisableNeedsCode,
    })
  }

  app.post(
    '/disable',
    {
      config: { access: SECOND_FACTOR_CHANGE, confirmation: confirmationFor },
      schema: { ...HIDDEN, body: Type.Object({ ...Proof, ...CurrentPassword }) },
      errorHandler: rerenderConfirmation(app, confirmationFor),
    },
    async (request, reply) => {
      await secondFactor.disable(request, readProof(request.body))
      return reply.redirectWithFlash(PATH, 'factor-disabled')
    },
  )
}

export default disabling
