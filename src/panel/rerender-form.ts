import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { toHttpError } from '#src/http/errors.ts'
import type { HttpError } from '#src/responses/errors.ts'

/**
 * Makes the error handler of a form: what is wrong with it is said on the page that it came from, with what was
 * entered.
 */
export const rerenderForm =
  (
    show: (
      request: FastifyRequest,
      reply: FastifyReply,
      returned: {
        faults: Record<string, readonly string[]>
        entered: Record<string, unknown>
        problem: string
      },
    ) => Promise<FastifyReply>,
  ) =>
  async (error: FastifyError | HttpError, request: FastifyRequest, reply: FastifyReply) => {
    const answer = toHttpError(error)
    const isAnswered = answer.statusCode === 422 || answer.statusCode === 409
    // Anything else is for the page of errors.
    if (!isAnswered) throw error
    reply.code(answer.statusCode).headers(answer.headers)
    return show(request, reply, {
      faults: answer.errors ?? {},
      entered: (request.body ?? {}) as Record<string, unknown>,
      problem: answer.message,
    })
  }
