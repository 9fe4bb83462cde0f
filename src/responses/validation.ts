import type { FastifySchemaValidationError } from 'fastify/types/schema.js'
import { MESSAGES } from './messages.ts'

const { rules } = MESSAGES

/**
 * Converts schema errors to Laravel's messages by dotted field name. In messages underscores of names become spaces.
 */
export function validationMessages(
  faults: readonly FastifySchemaValidationError[],
): Record<string, string[]> {
  const errors: Record<string, string[]> = Object.create(null)
  for (const fault of faults.filter(isSpecific)) {
    const path = fault.instancePath.split('/').slice(1)
    if (fault.keyword === 'required') path.push(String(fault.params.missingProperty))
    const key = path.join('.') || 'body'
    errors[key] ??= []
    errors[key].push(messageOf(fault, key.replaceAll('_', ' ')))
  }
  return errors
}

/** Whether an error is specific. For a nullable field, "not null" and "anyOf" only repeat the other error. */
const isSpecific = ({ keyword, params }: FastifySchemaValidationError) =>
  keyword !== 'anyOf' && params.type !== 'null'

/** A schema error with the value (Ajv's `verbose`). */
type Fault = FastifySchemaValidationError & { data?: unknown }

function messageOf({ keyword, params, data }: Fault, field: string): string {
  const limit = Number(params.limit)
  // Laravel treats null like an absent field.
  if (data === null) return rules.required(field)
  switch (keyword) {
    case 'required':
      return rules.required(field)
    case 'type':
      return typeMessage(String(params.type), field)
    case 'minLength':
      return limit === 1 ? rules.required(field) : rules.minString(field, limit)
    case 'maxLength':
      return rules.maxString(field, limit)
    case 'minimum':
      return rules.minNumber(field, limit)
    case 'maximum':
      return rules.maxNumber(field, limit)
    case 'format':
      return params.format === 'email' ? rules.email(field) : rules.selected(field)
    default:
      return rules.selected(field)
  }
}

/** The message for a value of the wrong JSON type. */
export function typeMessage(type: string, field: string): string {
  switch (type) {
    case 'string':
      return rules.string(field)
    case 'integer':
      return rules.integer(field)
    case 'number':
      return rules.number(field)
    case 'boolean':
      return rules.boolean(field)
    default:
      return rules.array(field)
  }
}
