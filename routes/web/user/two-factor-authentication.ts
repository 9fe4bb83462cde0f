import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { emptyJson, sendEmptyJson } from '#src/api/responses.ts'
import { SECOND_FACTOR_ACCESS } from '#src/http/second-factor-access.ts'
import { isYes } from '#src/input/account.ts'
import { AppCode, Proof, proofOf } from '#src/input/second-factor.ts'

const enableSchema = {
  operationId: 'two-factor.enable',
  tags: ['two-factor'],
  summary: 'Enable the second factor',
  description:
    'Makes a secret for an authenticator app and eight recovery codes, unless they are there already. It is asked for once a code has confirmed it. To replace a confirmed one takes one of its codes or recovery codes.',
  body: Type.Object({
    force: Type.Optional(
      Type.Unknown({
        description: 'Whether to make new ones in any case; they have to be confirmed again.',
        examples: [false],
      }),
    ),
    ...Proof,
  }),
  response: { 200: emptyJson('It is there.') },
}

const confirmSchema = {
  operationId: 'two-factor.confirm',
  tags: ['two-factor'],
  summary: 'Confirm the second factor',
  description:
    'With a code of the authenticator app: from then on every login asks for one. All other sessions of the user end, and all other browsers are forgotten. TWO_FACTOR_RATE_LIMIT attempts a minute; the headers tell what is left.',
  body: Type.Object({ code: AppCode }),
  response: { 200: emptyJson('It is confirmed.') },
}

const disableSchema = {
  operationId: 'two-factor.disable',
  tags: ['two-factor'],
  summary: 'Disable the second factor',
  description:
    'The secret and the recovery codes are deleted, and the user is told by mail. A confirmed one takes one of its codes or recovery codes, unless TWO_FACTOR_DISABLE_NEEDS_CODE is false.',
  body: Type.Object(Proof),
  response: { 200: emptyJson('There is none.') },
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
      const isForced = isYes(request.body.force)
      await app.secondFactor.enable(request, { isForced, proof: proofOf(request.body) })
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
      await app.secondFactor.disable(request, proofOf(request.body))
      return sendEmptyJson(reply)
    },
  )
}

export default twoFactor
