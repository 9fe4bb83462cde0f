import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJsonResponse, sendEmptyJson } from '#src/api/responses.ts'
import { SECOND_FACTOR_ACCESS } from '#src/http/second-factor-access.ts'
import { isTicked } from '#src/input/account.ts'
import { checkbox } from '#src/input/fields.ts'
import { AppCode, Proof, readProof } from '#src/input/second-factor.ts'

const enableSchema = {
  operationId: 'two-factor.enable',
  tags: ['two-factor'],
  summary: 'Enable the second factor',
  description:
    'Creates a secret for an authenticator app and eight recovery codes, unless they exist. The second factor is active once it is confirmed with a code. To replace a confirmed one, a code or recovery code is required.',
  body: Type.Object({
    force: checkbox(
      'Whether to replace an existing second factor. The new one must be confirmed again.',
      false,
    ),
    ...Proof,
  }),
  response: { 200: emptyJsonResponse('The second factor exists.') },
}

const confirmSchema = {
  operationId: 'two-factor.confirm',
  tags: ['two-factor'],
  summary: 'Confirm the second factor',
  description:
    'Activates the second factor with a code from the authenticator app. Ends all other sessions of the user and forgets all other remembered browsers. Limited to TWO_FACTOR_RATE_LIMIT attempts per minute.',
  body: Type.Object({ code: AppCode }),
  response: { 200: emptyJsonResponse('The second factor was confirmed.') },
}

const disableSchema = {
  operationId: 'two-factor.disable',
  tags: ['two-factor'],
  summary: 'Disable the second factor',
  description:
    'Deletes the secret and the recovery codes, and notifies the user by mail. For a confirmed second factor, a code or recovery code is required, unless TWO_FACTOR_DISABLE_NEEDS_CODE is false.',
  body: Type.Object(Proof),
  response: { 200: emptyJsonResponse('The second factor was removed.') },
}

/** Sets up, confirms and removes the second factor. */
const twoFactor: FastifyPluginAsyncTypebox = async app => {
  app.post(
    '/two-factor-authentication',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: enableSchema,
    },
    async (request, reply) => {
      const isForced = isTicked(request.body.force)
      await app.secondFactor.enable(request, { isForced, proof: readProof(request.body) })
      return sendEmptyJson(reply)
    },
  )

  app.post(
    '/confirmed-two-factor-authentication',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: confirmSchema,
    },
    async (request, reply) => {
      await app.secondFactor.confirm(request, request.body.code ?? null)
      return sendEmptyJson(reply)
    },
  )

  app.delete(
    '/two-factor-authentication',
    {
      config: { access: SECOND_FACTOR_ACCESS },
      schema: disableSchema,
    },
    async (request, reply) => {
      await app.secondFactor.disable(request, readProof(request.body))
      return sendEmptyJson(reply)
    },
  )
}

export default twoFactor
