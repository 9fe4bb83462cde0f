import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { owesSecondFactor, requiresSecondFactor, totpQrCode } from '#src/auth/second-factor.ts'
import { isYes, optionalText } from '#src/input/account.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { HIDDEN, SETTING_UP } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import {
  ABOUT_GIVING_UP,
  ABOUT_NEW_CODES,
  aboutDisabling,
  aboutReplacing,
  ConfirmedFactor,
  NoFactor,
  PasswordFirst,
  type PendingFactor,
  RecoveryCodes,
  Required,
  UnconfirmedFactor,
} from '#src/panel/pages/second-factor.tsx'
import { SECOND_FACTOR_PATH as PATH } from '#src/panel/paths.ts'
import { type Asked, isConfirmed } from '#src/panel/question.ts'

const access = { ...SETTING_UP, password: 'confirmed or entered' } as const

const Password = { current_password: OptionalPassword }

const Proof = { code: optionalText(''), recovery_code: optionalText(''), ...Password }

const proofOf = ({ code = null, recovery_code: recoveryCode = null }: ProofFields) => ({ code, recoveryCode })

interface ProofFields {
  code?: string | null
  recovery_code?: string | null
}

const NO_PROOF = proofOf({})

const factor: FastifyPluginAsyncTypebox = async app => {
  const { config, secondFactor } = app

  const isRequiredOf = (request: FastifyRequest) =>
    requiresSecondFactor(request.caller(), config.requireSecondFactor)

  /** What an app needs of a second factor that is not confirmed; null if it cannot be read. */
  const pendingOf = async (request: FastifyRequest): Promise<PendingFactor | null> => {
    const secret = await secondFactor.pendingSecret(request)
    if (secret === null) return null
    const qrCode = totpQrCode(secret, { issuer: config.appName, account: request.user().email })
    return { secret, qrCode, recoveryCodes: await secondFactor.recoveryCodes(request, NO_PROOF) }
  }

  const content = async (request: FastifyRequest, returned: Returned) => {
    const state = await secondFactor.state(request)
    const owesPassword = request.owesPassword()
    if (state.status === 'none') return <NoFactor returned={returned} owesPassword={owesPassword} />
    if (owesPassword) return <PasswordFirst returned={returned} />
    if (state.status === 'confirmed') return <ConfirmedFactor {...state} returned={returned} />
    return <UnconfirmedFactor pending={await pendingOf(request)} returned={returned} />
  }

  const show = async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ) => {
    const shown = await content(request, returned)
    return reply.page(
      { title: 'Second factor', active: 'Second factor', problem: returned.problem },
      <>
        {owesSecondFactor(request.caller(), config.requireSecondFactor) && <Required />}
        {shown}
      </>,
    )
  }

  const showCodes = async (reply: FastifyReply, codes: readonly string[]) => {
    if (codes.length === 0) return reply.redirect(PATH, 303)
    reply.leadsTo = `${PATH}?done=sent-before`
    return reply.page({ title: 'Recovery codes', active: 'Second factor' }, <RecoveryCodes codes={codes} />)
  }

  /** Says what is wrong on the page that it was entered on: that of the question, or the first one. */
  const backToQuestion = (asks: (request: FastifyRequest) => Promise<Asked>) =>
    backToForm(async (request, reply, returned) => {
      const isOfQuestion = isConfirmed(request.body) && !request.owesPassword()
      const asked = isOfQuestion ? await asks(request) : null
      return asked === null || 'unchanged' in asked
        ? show(request, reply, returned)
        : reply.ask(asked, returned)
    })

  app.get('/second-factor', { config: { access: SETTING_UP }, schema: HIDDEN }, (request, reply) =>
    show(request, reply),
  )

  app.post(
    '/second-factor/password',
    {
      config: { access },
      schema: { ...HIDDEN, body: Type.Object(Password) },
      errorHandler: backToForm(show),
    },
    async (_request, reply) => reply.done(PATH, 'password-confirmed'),
  )

  const asksToReplace = async (request: FastifyRequest): Promise<Asked> => {
    const { force } = request.body as { force?: unknown }
    const { status } = await secondFactor.state(request)
    if (status === 'none') return null
    if (!isYes(force)) return { unchanged: PATH }
    return status === 'confirmed' ? aboutReplacing({ isRequired: isRequiredOf(request) }) : null
  }

  app.post(
    '/second-factor/enable',
    {
      config: { access, asks: asksToReplace },
      schema: { ...HIDDEN, body: Type.Object({ force: Type.Optional(Type.Unknown()), ...Proof }) },
      errorHandler: backToQuestion(asksToReplace),
    },
    async (request, reply) => {
      const isForced = isYes(request.body.force)
      await secondFactor.enable(request, { isForced, proof: proofOf(request.body) })
      return reply.done(PATH, 'factor-begun')
    },
  )

  app.post(
    '/second-factor/confirm',
    {
      config: { access },
      schema: { ...HIDDEN, body: Type.Object({ code: optionalText(''), ...Password }) },
      errorHandler: backToForm(show),
    },
    async (request, reply) => {
      await secondFactor.confirm(request, request.body.code ?? null)
      return reply.done(PATH, 'factor-confirmed')
    },
  )

  const asksToDisable = async (request: FastifyRequest): Promise<Asked> => {
    const { status } = await secondFactor.state(request)
    if (status === 'none') return { unchanged: PATH }
    if (status === 'unconfirmed') return ABOUT_GIVING_UP
    return aboutDisabling({
      isRequired: isRequiredOf(request),
      takesCode: config.twoFactorDisableNeedsCode,
    })
  }

  app.post(
    '/second-factor/disable',
    {
      config: { access, asks: asksToDisable },
      schema: { ...HIDDEN, body: Type.Object(Proof) },
      errorHandler: backToQuestion(asksToDisable),
    },
    async (request, reply) => {
      await secondFactor.disable(request, proofOf(request.body))
      return reply.done(PATH, 'factor-disabled')
    },
  )

  app.post(
    '/second-factor/recovery-codes',
    {
      config: { access },
      schema: { ...HIDDEN, body: Type.Object(Proof) },
      errorHandler: backToForm(show),
    },
    async (request, reply) =>
      showCodes(reply, await secondFactor.recoveryCodes(request, proofOf(request.body))),
  )

  const asksForNewCodes = async (request: FastifyRequest): Promise<Asked> =>
    (await secondFactor.state(request)).status === 'confirmed' ? ABOUT_NEW_CODES : { unchanged: PATH }

  app.post(
    '/second-factor/recovery-codes/replace',
    {
      config: { access, asks: asksForNewCodes },
      schema: { ...HIDDEN, body: Type.Object(Proof) },
      errorHandler: backToQuestion(asksForNewCodes),
    },
    async (request, reply) => {
      await secondFactor.replaceRecoveryCodes(request, proofOf(request.body))
      return showCodes(reply, await secondFactor.recoveryCodes(request, NO_PROOF))
    },
  )
}

export default factor
