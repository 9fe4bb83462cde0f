import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import type { SessionIdentity } from '#src/auth/identity.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import { finishForm, releaseForm, takeForm } from '#src/database/form-submissions.ts'
import { isSafe, pathOf } from '#src/http/http.ts'
import { isConfirmed } from '#src/panel/question.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the form of this request is known by while it is done; null for one that may be done twice. */
    takenForm: string | null
  }
}

/** How long a second sending waits for what becomes of the first one, in milliseconds: some seconds in all. */
const WAITS_MS = [50, 100, 200, 400, 800, 1_600, 3_200]

/** After that time nobody is at a form any more: its instance was stopped meanwhile. */
const UNDER_WAY_MS = MINUTE_MS

/** Has forms of the panel that are sent twice, by a double click or after going back, do once what they do. */
export default fp(
  async app => {
    const { clock } = app
    const { kysely } = app.database

    app.decorateRequest('takenForm', null)

    /** Takes a form on, or leads to where it led before. @throws {HttpError} 409 when that is not known */
    const take = async (request: FastifyRequest, reply: FastifyReply, id: string) => {
      for (const wait of [...WAITS_MS, null]) {
        const before = await takeForm(kysely, id, clock())
        if (before === null) {
          request.takenForm = id
          return false
        }
        if (before.leadsTo !== null) {
          reply.redirect(before.leadsTo, 303)
          return true
        }
        if (wait === null || clock() - before.at > UNDER_WAY_MS) break
        await delay(wait)
      }
      throw new HttpError(409, MESSAGES.formUnderWay)
    }

    app.addHook('preHandler', (request, reply, done) => {
      const id = idOf(request)
      if (id === null) return done()
      take(request, reply, id).then(isAnswered => {
        if (!isAnswered) done()
      }, done)
    })

    app.addHook('onSend', (request, reply, _payload, done) => {
      const { takenForm: id } = request
      if (id === null) return done()
      request.takenForm = null
      const isDone = reply.statusCode < 400 && reply.leadsTo !== null
      const stored = isDone ? finishForm(kysely, id, reply.leadsTo as string) : releaseForm(kysely, id)
      const kept = stored.catch(error =>
        request.log.warn({ err: error }, 'it could not be stored what became of a form'),
      )
      if (request.isGivenUp) done()
      else kept.then(() => done())
    })
  },
  { name: 'sent-once', dependencies: ['panel', 'request-timeout'] },
)

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
