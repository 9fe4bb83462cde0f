import type { FastifyInstance, FastifyRequest } from 'fastify'
import { forbidden, unprocessable } from '#src/answers/errors.ts'
import { validationMessages } from '#src/answers/validation.ts'
import type { Identity } from '#src/auth/identity.ts'
import { BYPASS_FEATURE_FLAGS } from '#src/auth/permission.ts'
import { type Feature, isFeatureOn } from '#src/database/features.ts'
import { reading } from '#src/input/values.ts'

/**
 * The options of a route that says what is wrong with the input only after it is known that whoever asks may change
 * anything: its handler calls {@link requireValid}.
 *
 * @param readings how fields are read before the schema sees them
 */
export const judgedLast = (readings: Readonly<Record<string, (value: unknown) => unknown>>) => ({
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
  { validationError, routeOptions }: FastifyRequest,
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

/** What stands between users and their lists beside what they may do. */
export function listGates({ database }: Pick<FastifyInstance, 'database'>) {
  const isExempt = ({ identity }: FastifyRequest) =>
    (identity as Identity).permissions.has(BYPASS_FEATURE_FLAGS)
  return {
    /** @throws {HttpError} 403 when the feature is turned off */
    async requireFeature(request: FastifyRequest, feature: Feature): Promise<void> {
      if (!isExempt(request) && !(await isFeatureOn(database.kysely, feature))) throw forbidden()
    },
    /** How many of something whoever asks may have; null for any number. */
    limitFor: (request: FastifyRequest, most: number): number | null => (isExempt(request) ? null : most),
  }
}
