import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { owesSecondFactor, totpQrCode } from '#src/auth/second-factor.ts'
import { proofOf } from '#src/input/second-factor.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { SETTING_UP } from './access.ts'
import { type Confirmable, isConfirmed } from './confirmation-form.ts'
import { BLANK, type Returned } from './elements.tsx'
import {
  ConfirmedFactor,
  NoFactor,
  PasswordFirst,
  type PendingFactor,
  Required,
  UnconfirmedFactor,
} from './pages/second-factor.tsx'
import { rerenderForm } from './rerender-form.ts'

/** Who may change the second factor, or see its codes. */
export const CHANGING = { ...SETTING_UP, password: 'confirmed or entered' } as const

/** The password, which a form brings along if it was not confirmed lately. */
export const CurrentPassword = { current_password: OptionalPassword }

/** The proof of a form that needs none. */
export const NO_PROOF = proofOf({})

type Services = Pick<FastifyInstance, 'config' | 'secondFactor'>

/** What an app needs of a second factor that is not confirmed; null if it cannot be read. */
async function pendingOf(
  request: FastifyRequest,
  { config, secondFactor }: Services,
): Promise<PendingFactor | null> {
  const secret = await secondFactor.pendingSecret(request)
  if (secret === null) return null
  const qrCode = totpQrCode(secret, { issuer: config.appName, account: request.user().email })
  return { secret, qrCode, recoveryCodes: await secondFactor.recoveryCodes(request, NO_PROOF) }
}

async function contentOf(request: FastifyRequest, services: Services, returned: Returned) {
  const state = await services.secondFactor.state(request)
  const owesPassword = request.owesPassword()
  if (state.status === 'none') return <NoFactor returned={returned} owesPassword={owesPassword} />
  if (owesPassword) return <PasswordFirst returned={returned} />
  if (state.status === 'confirmed') return <ConfirmedFactor {...state} returned={returned} />
  return <UnconfirmedFactor pending={await pendingOf(request, services)} returned={returned} />
}

/** Makes the function that shows the user's second factor, with the forms that change it. */
export const showingFactor =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ): Promise<FastifyReply> => {
    const content = await contentOf(request, services, returned)
    return reply.page(
      { title: 'Second factor', active: 'Second factor', problem: returned.problem },
      <>
        {owesSecondFactor(request.caller(), services.config.requireSecondFactor) && <Required />}
        {content}
      </>,
    )
  }

/**
 * Makes the error handler of a form that asks first: what is wrong is said on the page that it was entered on, that of
 * the question or the first one.
 */
export function backToQuestion(services: Services, ask: (request: FastifyRequest) => Promise<Confirmable>) {
  const show = showingFactor(services)
  return rerenderForm(async (request, reply, returned) => {
    const isOfQuestion = isConfirmed(request.body) && !request.owesPassword()
    const asked = isOfQuestion ? await ask(request) : null
    return asked === null || 'unchanged' in asked
      ? show(request, reply, returned)
      : reply.ask(asked, returned)
  })
}
