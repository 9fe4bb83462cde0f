import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { Database } from '#src/database/connect.ts'
import { finishForm, releaseForm, takeForm } from '#src/database/form-submissions.ts'
import { pathOf } from '#src/http/request.ts'
import type { RouteTraits, Step, Verdict } from '#src/http/step.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { isConfirmed } from './confirmation-form.ts'

/** How long a second sending waits for what becomes of the first one, in milliseconds: some seconds in all. */
const WAITS_MS = [50, 100, 200, 400, 800, 1_600, 3_200]

/** After that time nobody is at a form any more: its instance was stopped meanwhile. */
const UNDER_WAY_MS = MINUTE_MS

const isForm = (route: RouteTraits | null) => route?.config.isPanel === true && route.isUnsafe

interface Needs {
  database: Pick<Database, 'kysely'>
  /** Milliseconds since the epoch. */
  clock: () => number
  delay: (ms: number) => Promise<unknown>
}

/**
 * The steps by which forms of the panel that are sent twice, by a double click or after going back, do once what they do:
 * the first takes a form on, or leads to where it led before (409 when that is not known); the second stores where it led.
 */
export function idempotentFormSteps({ database: { kysely }, clock, delay }: Needs): {
  take: Step
  finish: Step
} {
  const take = async (request: FastifyRequest, reply: FastifyReply, id: string): Promise<Verdict> => {
    for (const wait of [...WAITS_MS, null]) {
      const before = await takeForm(kysely, id, clock())
      if (before === null) {
        request.takenForm = id
        return undefined
      }
      if (before.leadsTo !== null) {
        reply.redirect(before.leadsTo, 303)
        return 'answered'
      }
      if (wait === null || clock() - before.at > UNDER_WAY_MS) break
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
        const { takenForm: id } = request
        if (id === null) return undefined
        request.takenForm = null
        const isDone = reply.statusCode < 400 && reply.leadsTo !== null
        const stored = isDone ? finishForm(kysely, id, reply.leadsTo as string) : releaseForm(kysely, id)
        const kept = stored.catch(error =>
          request.log.warn({ err: error }, 'it could not be stored what became of a form'),
        )
        return request.isGivenUp ? undefined : kept.then(() => undefined)
      },
    },
  }
}

/**
 * What is the same whenever the same form with the same entries is sent in the same session; null for what is not to be
 * done once: what carries no `_once`, and what only leads to a question.
 */
function idOf({ identity, isPanel, method, routeConfig, body, url }: FastifyRequest): string | null {
  if (!isPanel || isSafe(method) || identity === null) return null
  const { _token, ...fields } = (body ?? {}) as Record<string, unknown>
  if (typeof fields._once !== 'string') return null
  if (routeConfig.asks !== undefined && !isConfirmed(body)) return null
  const entries = Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
  const session = (identity as SessionIdentity).session.id.digest()
  return hash('sha256', JSON.stringify([session, pathOf(url), entries]))
}
