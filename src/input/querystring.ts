import { MESSAGES } from '#src/responses/messages.ts'

const { rules } = MESSAGES

/** A parsed parameter: text, nested parameters of a name with brackets, or null for empty text. */
export type Parameter = string | null | Parameters
export interface Parameters {
  [name: string]: Parameter
}

/** Limits beyond all legitimate queries. */
export const QUERY_LIMITS = { parameters: 100, depth: 4 } as const

/** A query string beyond the limits, with the message for the client. */
export class QueryTooLarge extends Error {
  override readonly name = 'QueryTooLarge'
}

/** A decoded name and value. */
export type Pair = readonly [name: string, value: string]

/**
 * Parses a query string as PHP does, except for equal names: `a[b][c]=d` nests, `a[]` appends, `+` is a space, invalid
 * percent-encoding is literal. A name that is given again appends too, where PHP would drop the first value. Values are
 * trimmed, and empty ones are null. The objects have no prototype (prototype pollution). Runs in linear time.
 *
 * @param text in latin1: one character per byte
 * @throws {QueryTooLarge} beyond {@link QUERY_LIMITS}
 */
export function parseQueryString(text: string): Parameters {
  const trimmed = splitPairs(text, QUERY_LIMITS.parameters).map(
    ([name, value]) => [name, value.trim()] as const,
  )
  return nestParameters(trimmed, 'append')
}

/** The result for a name that is given twice: both values, or the last. */
type Repetition = 'append' | 'replace'

/**
 * Nests pairs by the brackets in their names, as {@link parseQueryString} does. Of equal names the last one wins, as in
 * PHP, unless they append.
 *
 * @throws {QueryTooLarge} for a name with more brackets than {@link QUERY_LIMITS} allows
 */
export function nestParameters(pairs: readonly Pair[], repetition: Repetition = 'replace'): Parameters {
  const result: Parameters = Object.create(null)
  const counts: Counts = new Map()
  for (const [name, text] of pairs) {
    assign(result, namePath(name), text === '' ? null : text, counts, repetition)
  }
  return result
}

/**
 * Joins a list to text with commas: the values of `a[]=1&a[]=2`, `a[0]=1&a[1]=2` and `a=1&a=2`. Returns other parameters
 * unchanged.
 */
export function joinList(value: Parameter): Parameter {
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const isList = entries.every(
    ([key, item]) => /^\d+$/.test(key) && (typeof item === 'string' || item === null),
  )
  return isList ? entries.map(([, item]) => item ?? '').join(',') || null : value
}

/**
 * Splits and decodes text of type `application/x-www-form-urlencoded`. Empty pairs, as in `&&`, are skipped.
 *
 * @param text in latin1: one character per byte
 * @throws {QueryTooLarge} for more than `most` pairs, before any is decoded
 */
export function splitPairs(text: string, most: number): Pair[] {
  const pairs: string[] = []
  for (let start = 0; start < text.length; ) {
    // Skips a run of separators without a search for each, which would be quadratic.
    if (text.charCodeAt(start) === AMPERSAND) {
      start += 1
      continue
    }
    const found = text.indexOf('&', start)
    const end = found === -1 ? text.length : found
    if (pairs.length === most) throw new QueryTooLarge(rules.maxItems('query', most))
    pairs.push(text.slice(start, end))
    start = end + 1
  }
  return pairs.map(pair => {
    const equals = pair.indexOf('=')
    return equals === -1
      ? [decode(pair), '']
      : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
  })
}

/** The query string of a URL, without the question mark. */
export const queryStringOf = (url: string): string => {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}

/** Splits `a[b][c]` into a, b, c. An unclosed bracket belongs to the name; text after the closed ones is dropped. */
function namePath(name: string): string[] {
  let open = name.indexOf('[')
  if (open < 1) return [name]
  const path = [name.slice(0, open)]
  while (name[open] === '[') {
    const close = name.indexOf(']', open + 1)
    if (close === -1) break
    if (path.length >= QUERY_LIMITS.depth)
      throw new QueryTooLarge(rules.maxDepth('query', QUERY_LIMITS.depth))
    path.push(name.slice(open + 1, close))
    open = close + 1
  }
  return path.length === 1 ? [name] : path
}

/** The next index of each object for `a[]`: one above its largest. */
type Counts = Map<Parameters, number>

function assign(
  target: Parameters,
  path: readonly string[],
  value: string | null,
  counts: Counts,
  repetition: Repetition,
) {
  let node = target
  for (const [index, part] of path.entries()) {
    const key = part === '' && index > 0 ? String(counts.get(node) ?? 0) : part
    if (/^\d{1,9}$/.test(key)) counts.set(node, Math.max(counts.get(node) ?? 0, Number(key) + 1))
    const known = node[key]
    if (index === path.length - 1 && (known === undefined || repetition === 'replace')) {
      node[key] = value
      return
    }
    const child = isNested(known) ? known : newChild(repetition === 'append' ? known : undefined, counts)
    node[key] = child
    node = child
  }
  const next = counts.get(node) ?? 0
  node[next] = value
  counts.set(node, next + 1)
}

const isNested = (value: Parameter | undefined): value is Parameters =>
  typeof value === 'object' && value !== null

/** Creates nested parameters, with a value that the name had before as the first one. */
function newChild(first: Parameter | undefined, counts: Counts): Parameters {
  const child: Parameters = Object.create(null)
  if (first === undefined) return child
  child[0] = first
  counts.set(child, 1)
  return child
}

const [SPACE, PERCENT, AMPERSAND, PLUS] = [0x20, 0x25, 0x26, 0x2b] as const

/** The value of a hexadecimal digit by character code; -1 for other characters. */
const HEX = Int8Array.from({ length: 256 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(digit) ? -1 : digit
})

const hexValue = (code: number | undefined) => HEX[code ?? 0] as number

/** Decodes in place in one pass, because a replace callback costs a microsecond per escape. */
function decode(text: string): string {
  if (!/[%+\x80-\xff]/.test(text)) return text
  const bytes = Buffer.from(text, 'latin1')
  let size = 0
  for (let at = 0; at < bytes.length; at += 1) {
    let byte = bytes[at] as number
    if (byte === PLUS) byte = SPACE
    else if (byte === PERCENT) {
      const high = hexValue(bytes[at + 1])
      const low = hexValue(bytes[at + 2])
      if (high >= 0 && low >= 0) {
        byte = high * 16 + low
        at += 2
      }
    }
    bytes[size] = byte
    size += 1
  }
  return bytes.toString('utf8', 0, size)
}
