import type { FastifyRequest } from 'fastify'
import { convertFields } from '#src/input/values.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { validationMessages } from '#src/responses/validation.ts'

/**
 * Returns the options of a route that validates its input in its handler, by {@link requireValid}: all errors are
 * reported together, in the order of the schema's fields, including those that need the database.
 *
 * @param readings how fields are converted before the schema validates them
 */
export const deferValidation = (readings: Readonly<Record<string, (value: unknown) => unknown>>) => ({
  attachValidation: true,
  preValidation: convertFields(readings),
})

/**
 * Requires that the schema accepts the input, and that there are no other errors.
 *
 * @param otherErrors otherErrors errors, by field
 * @throws {HttpError} 422 with all errors, in the order of the schema's fields
 */
export function requireValid(
  { validationError, routeOptions }: Pick<FastifyRequest, 'validationError' | 'routeOptions'>,
  otherErrors: Readonly<Record<string, readonly string[]>> = {},
): void {
  const body = routeOptions.schema?.body as { properties: object } | undefined
  const schemaErrors = validationMessages(validationError?.validation ?? [])
  const fields = new Set([body?.properties ?? {}, schemaErrors, otherErrors].flatMap(Object.keys))
  const errors = [...fields].flatMap(field => {
    const messages = [...new Set([...(schemaErrors[field] ?? []), ...(otherErrors[field] ?? [])])]
    return messages.length === 0 ? [] : [[field, messages] as const]
  })
  if (errors.length > 0) throw unprocessable(Object.fromEntries(errors))
}
