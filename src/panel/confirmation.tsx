import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { render } from 'preact-render-to-string'
import { pathOf } from '#src/http/request.ts'
import type { Step, Verdict } from '#src/http/step.ts'
import { type Confirmable, type Confirmation, fieldsOf, isConfirmed } from './confirmation-form.ts'
import type { Faults } from './elements.tsx'
import { ConfirmationPage } from './pages/confirmation.tsx'

/** Says what is asked about a form of the panel; throws for what is wrong with the form. */
export type Asks = (request: FastifyRequest) => Promise<Confirmable>

const CHANGED = 'Something has changed since you were asked. This is what would happen now.'

/** Asks a question about the form of a request; once more, with what was wrong with the answer. */
export const ask = (
  reply: FastifyReply,
  question: Confirmation,
  { problem, faults = {} }: { problem?: string; faults?: Faults } = {},
) =>
  reply.page(
    { title: question.title, active: question.active, problem },
    <ConfirmationPage
      question={question}
      action={pathOf(reply.request.url)}
      fields={fieldsOf(reply.request.body)}
      seen={digestOf(question)}
      faults={faults}
    />,
  )

/**
 * Asks before a route does what cannot be undone: the first form leads to a page that says what would happen, and the
 * form of that page has it happen. What has changed meanwhile is asked about again.
 */
export const confirmationStep: Step = {
  appliesTo: route => route?.config.asks !== undefined,
  run(request, reply) {
    const { asks } = request.routeConfig
    const { _seen: seen } = (request.body ?? {}) as { _seen?: unknown }
    const isAnswered = isConfirmed(request.body)
    // A program that confirms has seen no question.
    if (asks === undefined || (isAnswered && typeof seen !== 'string')) return
    return judge(request, reply, asks, isAnswered ? (seen as string) : null)
  },
}

/** @param seen the digest of the question that was answered; null when none was */
async function judge(
  request: FastifyRequest,
  reply: FastifyReply,
  asks: Asks,
  seen: string | null,
): Promise<Verdict> {
  const asked = await asks(request)
  if (asked === null) return undefined
  if ('unchanged' in asked) reply.redirect(`${asked.unchanged}?done=unchanged`, 303)
  else if (seen === digestOf(asked)) return undefined
  else await ask(reply, asked, seen === null ? {} : { problem: CHANGED })
  return 'answered'
}

/** What tells one question from another. */
const digestOf = ({ title, content }: Confirmation): string =>
  hash('sha256', render(<div>{[title, content]}</div>))
