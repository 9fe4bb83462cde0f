import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Proof, proofOf } from '#src/input/second-factor.ts'
import { HIDDEN } from '#src/panel/access.ts'
import type { Confirmable } from '#src/panel/confirmation-form.ts'
import { ABOUT_NEW_CODES, RecoveryCodes } from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import { rerenderForm } from '#src/panel/rerender-form.ts'
import {
  backToQuestion,
  CHANGING,
  CurrentPassword,
  NO_PROOF,
  showingFactor,
} from '#src/panel/second-factor-page.tsx'

async function showCodes(reply: FastifyReply, codes: readonly string[]) {
  if (codes.length === 0) return reply.redirect(PATH, 303)
  reply.leadsTo = `${PATH}?done=sent-before`
  return reply.page({ title: 'Recovery codes', active: 'Second factor' }, <RecoveryCodes codes={codes} />)
}

/** Showing and replacing the recovery codes of the second factor. */
const recoveryCodes: FastifyPluginAsyncTypebox = async app => {
  const { secondFactor } = app
  const schema = { ...HIDDEN, body: Type.Object({ ...Proof, ...CurrentPassword }) }

  app.post(
    '/recovery-codes',
    { config: { access: CHANGING }, schema, errorHandler: rerenderForm(showingFactor(app)) },
    async (request, reply) =>
      showCodes(reply, await secondFactor.recoveryCodes(request, proofOf(request.body))),
  )

  const ask = async (request: FastifyRequest): Promise<Confirmable> =>
    (await secondFactor.state(request)).status === 'confirmed' ? ABOUT_NEW_CODES : { unchanged: PATH }

  app.post(
    '/recovery-codes/replace',
    { config: { access: CHANGING, asks: ask }, schema, errorHandler: backToQuestion(app, ask) },
    async (request, reply) => {
      await secondFactor.replaceRecoveryCodes(request, proofOf(request.body))
      return showCodes(reply, await secondFactor.recoveryCodes(request, NO_PROOF))
    },
  )
}

export default recoveryCodes
