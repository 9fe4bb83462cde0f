import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { render } from 'preact-render-to-string'
import { pathOf } from '#src/http/request.ts'
import type { Step, Verdict } from '#src/http/step.ts'
import { type Confirmable, type Confirmation, fieldsOf, isConfirmed } from './confirmation-form.ts'
import type { FieldErrors } from './elements.tsx'
import { ConfirmationPage } from './pages/confirmation.tsx'

/** Builds the confirmation of a form. Throws for invalid forms. */
export type ConfirmationBuilder = (request: FastifyRequest) => Promise<Confirmable>

const CHANGED = 'The data has changed in the meantime. Please check again what will happen.'

/** Sends the confirmation page for the form of a request; again with the errors of its own fields. */
export const sendConfirmation = (
  reply: FastifyReply,
  confirmation: Confirmation,
  { problem, errors = {} }: { problem?: string; errors?: FieldErrors } = {},
) =>
  reply.sendPage(
    { title: confirmation.title, active: confirmation.active, problem },
    <ConfirmationPage
      confirmation={confirmation}
      action={pathOf(reply.request.url)}
      fields={fieldsOf(reply.request.body)}
      seenDigest={digestOf(confirmation)}
      errors={errors}
    />,
  )

/**
 * Asks for confirmation before actions that cannot be undone. The first submission shows a page that describes the action;
 * the form of that page submits the same fields again with `confirmed`. If the description has changed in the meantime,
 * the page is shown again.
 */
export const confirmationStep: Step = {
  appliesTo: route => route?.config.confirmation !== undefined,
  run(request, reply) {
    const { confirmation } = request.routeConfig
    const { _seen: seenDigest } = (request.body ?? {}) as { _seen?: unknown }
    const confirmed = isConfirmed(request.body)
    // A program may confirm without having seen the page: it has no digest to compare.
    if (confirmation === undefined || (confirmed && typeof seenDigest !== 'string')) return
    return requireConfirmation(request, reply, confirmation, confirmed ? (seenDigest as string) : null)
  },
}

/** @param seenDigest the digest of the confirmed page; null without confirmation */
async function requireConfirmation(
  request: FastifyRequest,
  reply: FastifyReply,
  buildConfirmation: ConfirmationBuilder,
  seenDigest: string | null,
): Promise<Verdict> {
  const confirmable = await buildConfirmation(request)
  if (confirmable === null) return undefined
  if ('unchanged' in confirmable) reply.redirect(`${confirmable.unchanged}?done=unchanged`, 303)
  else if (seenDigest === digestOf(confirmable)) return undefined
  else await sendConfirmation(reply, confirmable, seenDigest === null ? {} : { problem: CHANGED })
  return 'responded'
}

/** Returns the digest of what a confirmation page describes. */
const digestOf = ({ title, content }: Confirmation): string =>
  hash('sha256', render(<div>{[title, content]}</div>))
