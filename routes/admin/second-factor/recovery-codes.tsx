import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Proof, readProof } from '#src/input/second-factor.ts'
import { HIDDEN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { NEW_CODES_CONFIRMATION, RecoveryCodes } from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import {
  CurrentPassword,
  NO_PROOF,
  rerenderConfirmation,
  SECOND_FACTOR_CHANGE,
  secondFactorPage,
} from '#src/panel/second-factor-page.tsx'

async function showCodes(reply: FastifyReply, codes: readonly string[]) {
  if (codes.length === 0) return reply.redirect(PATH, 303)
  reply.repeatLocation = `${PATH}?done=sent-before`
  return reply.sendPage({ title: 'Recovery codes', active: 'Second factor' }, <RecoveryCodes codes={codes} />)
}

/** Shows and replaces the recovery codes. */
const recoveryCodes: FastifyPluginAsyncTypebox = async app => {
  const { secondFactor } = app
  const schema = { ...HIDDEN, body: Type.Object({ ...Proof, ...CurrentPassword }) }

  app.post(
    '/recovery-codes',
    { config: { access: SECOND_FACTOR_CHANGE }, schema, errorHandler: rerenderForm(secondFactorPage(app)) },
    async (request, reply) =>
      showCodes(reply, await secondFactor.recoveryCodes(request, readProof(request.body))),
  )

  const confirmationFor = async (request: FastifyRequest): Promise<Confirmable> =>
    (await secondFactor.state(request)).status === 'confirmed' ? NEW_CODES_CONFIRMATION : { unchanged: PATH }

  app.post(
    '/recovery-codes/replace',
    {
      config: { access: SECOND_FACTOR_CHANGE, confirmation: confirmationFor },
      schema,
      errorHandler: rerenderConfirmation(app, confirmationFor),
    },
    async (request, reply) => {
      await secondFactor.replaceRecoveryCodes(request, readProof(request.body))
      return showCodes(reply, await secondFactor.recoveryCodes(request, NO_PROOF))
    },
  )
}

export default recoveryCodes
