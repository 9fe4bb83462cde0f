import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Database } from '#src/database/connect.ts'
import { claimForm, finishForm, releaseForm } from '#src/database/form-submissions.ts'
import { pathOf } from '#src/http/request.ts'
import type { RouteTraits, Step, Verdict } from '#src/http/step.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { EpochMillis, Millis } from '#src/runtime/units.ts'
import { isConfirmed } from './confirmation-form.ts'

/** The delays at which a repeated submission checks whether the first one is done: exponential backoff, 6 s in total. */
const RETRY_DELAYS_MS: readonly Millis[] = [50, 100, 200, 400, 800, 1_600, 3_200]

/** An unfinished submission older than this is abandoned: its server was stopped. */
const IN_PROGRESS_MS: Millis = MINUTE_MS

const isForm = (route: RouteTraits | null) => route?.config.isPanel === true && route.isUnsafe

interface Dependencies {
  database: Pick<Database, 'kysely'>
  clock: () => EpochMillis
  delay: (ms: Millis) => Promise<unknown>
}

/**
 * Creates the steps that make forms idempotent: a form that is submitted twice, by a double click or after going back,
 * takes effect once. `take` claims the submission, or redirects to the target of the first one (409 if that is not done).
 * `finish` stores the target.
 */
export function idempotentFormSteps({ database: { kysely }, clock, delay }: Dependencies): {
  take: Step
  finish: Step
} {
  const take = async (request: FastifyRequest, reply: FastifyReply, id: string): Promise<Verdict> => {
    for (const wait of [...RETRY_DELAYS_MS, null]) {
      const before = await claimForm(kysely, id, clock())
      if (before === null) {
        request.formSubmission = id
        return undefined
      }
      if (before.redirectTo !== null) {
        reply.redirect(before.redirectTo, 303)
        return 'responded'
      }
      if (wait === null || clock() - before.at > IN_PROGRESS_MS) break
      await delay(wait)
    }
    throw new HttpError(409, MESSAGES.formUnderWay)
  }
  return {
    take: {
      appliesTo: isForm,
      run(request, reply) {
        const id = idOf(request)
        return id === null ? undefined : take(request, reply, id)
      },
    },
    finish: {
      appliesTo: isForm,
      run(request, reply) {
        const { formSubmission: id } = request
        if (id === null) return undefined
        request.formSubmission = null
        const isDone = reply.statusCode < 400 && reply.repeatLocation !== null
        const stored = isDone
          ? finishForm(kysely, id, reply.repeatLocation as string)
          : releaseForm(kysely, id)
        const kept = stored.catch(error =>
          request.log.warn({ err: error }, 'the result of a form submission could not be stored'),
        )
        return request.isTimedOut ? undefined : kept.then(() => undefined)
      },
    },
  }
}

/**
 * Returns the idempotency key of a form: equal for the same form with the same values in the same session. Null for forms
 * without `_once`, and for unconfirmed ones, which only show a confirmation page.
 */
function idOf({ identity, isPanel, method, routeConfig, body, url }: FastifyRequest): string | null {
  if (!isPanel || isSafe(method) || identity === null) return null
  const { _token, ...fields } = (body ?? {}) as Record<string, unknown>
  if (typeof fields._once !== 'string') return null
  if (routeConfig.confirmation !== undefined && !isConfirmed(body)) return null
  const entries = Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
  const session = (identity as SessionIdentity).session.id.digest()
  return hash('sha256', JSON.stringify([session, pathOf(url), entries]))
}
