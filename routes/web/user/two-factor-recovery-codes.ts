import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, sendEmptyJson, successResponse } from '#src/api/responses.ts'
import { SECOND_FACTOR_ACCESS } from '#src/http/second-factor-access.ts'
import { Proof, readProof } from '#src/input/second-factor.ts'

const recoveryCodesSchema = {
  operationId: 'two-factor.recovery-codes',
  tags: ['two-factor'],
  summary: 'Show the recovery codes',
  description:
    'Recovery codes replace the authenticator app. A used code is replaced with a new one. For a confirmed second factor, a code or recovery code is required, except in the first ten minutes after the codes were created.',
  querystring: Type.Object(Proof),
  response: {
    200: successResponse(
      Type.Array(Type.String(), {
        description: 'The recovery codes. Each is valid once.',
        examples: [['FbeNR0JtHA-mpIgLYOQiL']],
      }),
    ),
  },
}

const replaceRecoveryCodesSchema = {
  operationId: 'two-factor.replace-recovery-codes',
  tags: ['two-factor'],
  summary: 'Create new recovery codes',
  description:
    'The old recovery codes become invalid. For a confirmed second factor, a code or recovery code is required.',
  body: Type.Object(Proof),
  response: { 200: emptyJsonResponse('The recovery codes were created.') },
}

const recoveryCodes: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/two-factor-recovery-codes',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: recoveryCodesSchema,
    },
    request => app.secondFactor.recoveryCodes(request, readProof(request.query)),
  )

  app.post(
    '/two-factor-recovery-codes',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: replaceRecoveryCodesSchema,
    },
    async (request, reply) => {
      await app.secondFactor.replaceRecoveryCodes(request, readProof(request.body))
      return sendEmptyJson(reply)
    },
  )
}

export default recoveryCodes
