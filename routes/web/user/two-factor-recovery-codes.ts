import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJson, sendEmptyJson, success } from '#src/api/responses.ts'
import { SECOND_FACTOR_ACCESS } from '#src/http/second-factor-access.ts'
import { Proof, proofOf } from '#src/input/second-factor.ts'

const recoveryCodesSchema = {
  operationId: 'two-factor.recovery-codes',
  tags: ['two-factor'],
  summary: 'Show the recovery codes',
  description:
    'To be kept where the authenticator app is not. Each that is used gives way to a new one. Those of a confirmed second factor take one of its codes or recovery codes, except in the ten minutes after they were made.',
  querystring: Type.Object(Proof),
  response: {
    200: success(
      Type.Array(Type.String(), {
        description: 'Codes that count once each, in the place of the authenticator app.',
        examples: [['FbeNR0JtHA-mpIgLYOQiL']],
      }),
    ),
  },
}

const replaceRecoveryCodesSchema = {
  operationId: 'two-factor.replace-recovery-codes',
  tags: ['two-factor'],
  summary: 'Make new recovery codes',
  description:
    'Those that there were count no more. A confirmed second factor takes one of its codes or recovery codes.',
  body: Type.Object(Proof),
  response: { 200: emptyJson('They are made.') },
}

const recoveryCodes: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/two-factor-recovery-codes',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: recoveryCodesSchema,
    },
    request => app.secondFactor.recoveryCodes(request, proofOf(request.query)),
  )

  app.post(
    '/two-factor-recovery-codes',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: replaceRecoveryCodesSchema,
    },
    async (request, reply) => {
      await app.secondFactor.replaceRecoveryCodes(request, proofOf(request.body))
      return sendEmptyJson(reply)
    },
  )
}

export default recoveryCodes
