import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { toHttpError } from '#src/http/errors.ts'
import type { HttpError } from '#src/responses/errors.ts'

/**
 * Returns the error handler of a form: shows the form's page again, with errors and submitted values. Other errors than
 * 422 and 409 get the error page.
 */
export const rerenderForm =
  (
    show: (
      request: FastifyRequest,
      reply: FastifyReply,
      formState: {
        errors: Record<string, readonly string[]>
        values: Record<string, unknown>
        problem: string
      },
    ) => Promise<FastifyReply>,
  ) =>
  async (error: FastifyError | HttpError, request: FastifyRequest, reply: FastifyReply) => {
    const response = toHttpError(error)
    if (response.statusCode !== 422 && response.statusCode !== 409) throw error
    reply.code(response.statusCode).headers(response.headers)
    return show(request, reply, {
      errors: response.errors ?? {},
      values: (request.body ?? {}) as Record<string, unknown>,
      problem: response.message,
    })
  }
