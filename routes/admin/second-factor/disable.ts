import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { requiresSecondFactor } from '#src/auth/second-factor.ts'
import { Proof, proofOf } from '#src/input/second-factor.ts'
import { HIDDEN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { ABOUT_GIVING_UP, aboutDisabling } from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import { backToQuestion, CHANGING, CurrentPassword } from '#src/panel/second-factor-page.tsx'

const disabling: FastifyPluginAsyncTypebox = async app => {
  const { config, secondFactor } = app

  const ask = async (request: FastifyRequest): Promise<Confirmable> => {
    const { status } = await secondFactor.state(request)
    if (status === 'none') return { unchanged: PATH }
    if (status === 'unconfirmed') return ABOUT_GIVING_UP
    return aboutDisabling({
      isRequired: requiresSecondFactor(request.caller(), config.requireSecondFactor),
      takesCode: config.twoFactorDisableNeedsCode,
    })
  }

  app.post(
    '/disable',
    {
      config: { access: CHANGING, asks: ask },
      schema: { ...HIDDEN, body: Type.Object({ ...Proof, ...CurrentPassword }) },
      errorHandler: backToQuestion(app, ask),
    },
    async (request, reply) => {
      await secondFactor.disable(request, proofOf(request.body))
      return reply.done(PATH, 'factor-disabled')
    },
  )
}

export default disabling
