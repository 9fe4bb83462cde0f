import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { lacksRequiredSecondFactor, totpQrCode } from '#src/auth/second-factor.ts'
import { readProof } from '#src/input/second-factor.ts'
import { OptionalPassword } from '#src/input/values.ts'
import { SECOND_FACTOR_SETUP } from './access.ts'
import { type Confirmable, isConfirmed } from './confirmation-form.ts'
import { EMPTY_FORM, type FormState } from './elements.tsx'
import {
  ConfirmedFactor,
  NoFactor,
  PasswordRequired,
  type PendingFactor,
  SecondFactorRequiredNotice,
  UnconfirmedFactor,
} from './pages/second-factor.tsx'
import { rerenderForm } from './rerender-form.ts'

/** The access of routes that change the second factor or show its codes. */
export const SECOND_FACTOR_CHANGE = { ...SECOND_FACTOR_SETUP, password: 'confirmed or entered' } as const

/** The schema of the password field, for forms with `password: 'confirmed or entered'`. */
export const CurrentPassword = { current_password: OptionalPassword }

/** The proof of forms without proof fields. */
export const NO_PROOF = readProof({})

type Services = Pick<FastifyInstance, 'config' | 'secondFactor'>

/** Returns secret, QR code and recovery codes of an unconfirmed second factor; null if they cannot be decrypted. */
async function pendingOf(
  request: FastifyRequest,
  { config, secondFactor }: Services,
): Promise<PendingFactor | null> {
  const secret = await secondFactor.pendingSecret(request)
  if (secret === null) return null
  const qrCode = totpQrCode(secret, { issuer: config.appName, account: request.user().email })
  return { secret, qrCode, recoveryCodes: await secondFactor.recoveryCodes(request, NO_PROOF) }
}

async function contentOf(request: FastifyRequest, services: Services, formState: FormState) {
  const state = await services.secondFactor.state(request)
  const owesPassword = request.owesPassword()
  if (state.status === 'none') return <NoFactor formState={formState} owesPassword={owesPassword} />
  if (owesPassword) return <PasswordRequired formState={formState} />
  if (state.status === 'confirmed') return <ConfirmedFactor {...state} formState={formState} />
  return <UnconfirmedFactor pending={await pendingOf(request, services)} formState={formState} />
}

/** Returns the function that renders the second factor page, with the forms that change it. */
export const secondFactorPage =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    formState: FormState & { problem?: string } = EMPTY_FORM,
  ): Promise<FastifyReply> => {
    const content = await contentOf(request, services, formState)
    return reply.sendPage(
      { title: 'Second factor', active: 'Second factor', problem: formState.problem },
      <>
        {lacksRequiredSecondFactor(request.caller(), services.config.requireSecondFactor) && (
          <SecondFactorRequiredNotice />
        )}
        {content}
      </>,
    )
  }

/**
 * Returns the error handler of a form with confirmation. Shows the errors on the page on which the values were entered:
 * the confirmation page or the second factor page.
 */
export function rerenderConfirmation(
  services: Services,
  buildConfirmation: (request: FastifyRequest) => Promise<Confirmable>,
) {
  const show = secondFactorPage(services)
  return rerenderForm(async (request, reply, formState) => {
    const isConfirmationForm = isConfirmed(request.body) && !request.owesPassword()
    const confirmation = isConfirmationForm ? await buildConfirmation(request) : null
    return confirmation === null || 'unchanged' in confirmation
      ? show(request, reply, formState)
      : reply.askConfirmation(confirmation, formState)
  })
}
