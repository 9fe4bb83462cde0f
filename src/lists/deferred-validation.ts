import type { FastifyRequest } from 'fastify'
import { reading } from '#src/input/values.ts'
import { unprocessable } from '#src/responses/errors.ts'
import { validationMessages } from '#src/responses/validation.ts'

/**
 * The options of a route that validates its input itself, by {@link requireValid} in its handler: all faults are told
 * together, in the order of the schema's fields, with those that only the database knows.
 *
 * @param readings how fields are read before the schema sees them
 */
export const deferValidation = (readings: Readonly<Record<string, (value: unknown) => unknown>>) => ({
  attachValidation: true,
  preValidation: reading(readings),
})

/**
 * Lets only input go on that its schema accepts, and about which there is nothing else to say.
 *
 * @param further what else is wrong, by field
 * @throws {HttpError} 422 that tells all of it, in the order of the schema's fields
 */
export function requireValid(
  { validationError, routeOptions }: Pick<FastifyRequest, 'validationError' | 'routeOptions'>,
  further: Readonly<Record<string, readonly string[]>> = {},
): void {
  const body = routeOptions.schema?.body as { properties: object } | undefined
  const faults = validationMessages(validationError?.validation ?? [])
  const fields = new Set([body?.properties ?? {}, faults, further].flatMap(Object.keys))
  const errors = [...fields].flatMap(field => {
    const sentences = [...new Set([...(faults[field] ?? []), ...(further[field] ?? [])])]
    return sentences.length === 0 ? [] : [[field, sentences] as const]
  })
  if (errors.length > 0) throw unprocessable(Object.fromEntries(errors))
}
