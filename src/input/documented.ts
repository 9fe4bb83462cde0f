import type { TSchema } from 'typebox'

/** How a field is documented in OpenAPI. */
interface Documented {
  schema: object
  isRequired: boolean
}

const documented = new WeakMap<object, Documented>()

/**
 * Documents a field otherwise than it is validated: where a use-case checks it, so that all errors of a body are reported
 * together, and where any text is accepted that can only be of one type.
 *
 * @param field.schema the JSON Schema to document; descriptions and examples of the field are added
 */
export function documentAs<Schema extends TSchema>(
  validated: Schema,
  { schema, isRequired = false }: { schema: object; isRequired?: boolean },
): Schema {
  const { description, examples } = validated as { description?: string; examples?: unknown[] }
  documented.set(validated, {
    schema: { ...schema, ...(description !== undefined && { description }), ...(examples && { examples }) },
    isRequired,
  })
  return validated
}

/** Returns how a field is documented. `isRequired` is only known of those that are {@link documentAs documented} so. */
export const documentedField = (schema: object): Documented =>
  documented.get(schema) ?? { schema, isRequired: false }
