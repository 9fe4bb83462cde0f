import { parseInteger } from '#src/input/integer.ts'
import type { Parameter } from '#src/input/querystring.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import type { Query } from '../query.ts'
import { PAGE_SIZE, VALUE_LIMITS } from './limits.ts'
import { type Faults, prohibit, readByType, readText } from './parameter.ts'
import type { Rules } from './rules.ts'

const { rules } = MESSAGES

/** Reads the words that a name must have. */
export function readSearch(
  { endpoint }: Rules,
  value: Parameter | undefined,
  faults: Faults,
): Query['search'] {
  if (value === undefined || endpoint.search === 'ignored') return null
  if (endpoint.search === 'prohibited') {
    prohibit('q', value, faults)
    return null
  }
  const text = readText('q', value, faults, VALUE_LIMITS.search)
  if (text?.includes('\0')) faults.add('q', rules.string('q'))
  return text ?? null
}

/** Reads which page is asked for. */
export function readPage({ endpoint }: Rules, value: Parameter | undefined, faults: Faults): Query['page'] {
  const page = { number: 1, size: PAGE_SIZE.standard as number }
  if (value === undefined) return page
  if (endpoint.kind === 'show') {
    prohibit('page', value, faults)
    return page
  }
  for (const [name, text] of readByType('page', value, name => Object.hasOwn(page, name), faults)) {
    const key = `page.${name}`
    if (text === null) {
      faults.add(key, rules.required(key))
      continue
    }
    const integer = typeof text === 'string' ? parseInteger(text) : undefined
    const number = Number(integer)
    if (integer === undefined) faults.add(key, rules.integer(key))
    else if (number < 1) faults.add(key, rules.minNumber(key, 1))
    else if (name === 'size' && number > PAGE_SIZE.most) faults.add(key, rules.maxNumber(key, PAGE_SIZE.most))
    else page[name as 'number' | 'size'] = number
  }
  return page
}
