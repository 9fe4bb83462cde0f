import { parseInteger } from '#src/input/integer.ts'
import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Query } from '../query.ts'
import { PAGE_SIZE, VALUE_LIMITS } from './limits.ts'
import { type ParameterErrors, readByType, readText, rejectParameter } from './parameter.ts'
import type { Rules } from './rules.ts'

const { rules } = MESSAGES

/** Parses the search text. */
export function readSearch(
  { endpoint }: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['search'] {
  if (value === undefined || endpoint.search === 'ignored') return null
  if (endpoint.search === 'prohibited') {
    rejectParameter('q', value, errors)
    return null
  }
  const text = readText('q', value, errors, VALUE_LIMITS.search)
  if (text?.includes('\0')) errors.add('q', rules.string('q'))
  return text ?? null
}

/** Parses the page number and size. */
export function readPage(
  { endpoint }: Rules,
  value: Parameter | undefined,
  errors: ParameterErrors,
): Query['page'] {
  const page = { number: 1, size: PAGE_SIZE.default as number }
  if (value === undefined) return page
  if (endpoint.kind === 'show') {
    rejectParameter('page', value, errors)
    return page
  }
  for (const [name, text] of readByType('page', value, name => Object.hasOwn(page, name), errors)) {
    const key = `page.${name}`
    if (text === null) {
      errors.add(key, rules.required(key))
      continue
    }
    const integer = typeof text === 'string' ? parseInteger(text) : undefined
    const number = Number(integer)
    if (integer === undefined) errors.add(key, rules.integer(key))
    else if (number < 1) errors.add(key, rules.minNumber(key, 1))
    else if (name === 'size' && number > PAGE_SIZE.max) errors.add(key, rules.maxNumber(key, PAGE_SIZE.max))
    else page[name as 'number' | 'size'] = number
  }
  return page
}
