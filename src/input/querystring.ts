import { MESSAGES } from '#src/responses/messages.ts'

const { rules } = MESSAGES

/** What a query string holds: text, or parameters by name where brackets were used. Null stands for empty text. */
export type Parameter = string | null | Parameters
export interface Parameters {
  [name: string]: Parameter
}

/** More than this in a query string is nobody's honest question. */
export const QUERY_LIMITS = { parameters: 100, depth: 4 } as const

/** A query string that is too large to be looked at, with the sentence for whoever sent it. */
export class QueryTooLarge extends Error {
  override readonly name = 'QueryTooLarge'
}

/** A name and its value, decoded. */
export type Pair = readonly [name: string, value: string]

/**
 * Reads a query string as PHP does: `a[b][c]=d` nests, the last of equal names wins, `a[]` counts up, `+` is a
 * space, what is not valid percent-encoding is taken as it is. Values are trimmed, unless they are to be kept,
 * and what is empty is null. The objects have no prototype. Takes time linear in the length of the text.
 *
 * @param text in latin1, one character for each byte that was sent
 * @param options.most how many parameters there can be
 * @throws {QueryTooLarge} beyond that and {@link QUERY_LIMITS}
 */
export function parseQueryString(
  text: string,
  { trim = true, most = QUERY_LIMITS.parameters }: { trim?: boolean; most?: number } = {},
): Parameters {
  return nest(splitPairs(text, most), trim)
}

/**
 * Nests pairs by the brackets in their names, as {@link parseQueryString} does.
 *
 * @throws {QueryTooLarge} for a name with more brackets than {@link QUERY_LIMITS} allow
 */
export function nest(pairs: readonly Pair[], trim: boolean): Parameters {
  const result: Parameters = Object.create(null)
  const counts: Counts = new Map()
  for (const [name, text] of pairs) {
    const value = trim ? text.trim() : text
    assign(result, namePath(name), value === '' ? null : value, counts)
  }
  return result
}

/**
 * The pairs of a text of type `application/x-www-form-urlencoded`, decoded. Empty ones, as between `&&`, are none.
 *
 * @param text in latin1, one character for each byte that was sent
 * @throws {QueryTooLarge} for more than `most` pairs, before any of them is decoded
 */
export function splitPairs(text: string, most: number): Pair[] {
  const pairs: string[] = []
  for (let start = 0; start < text.length; ) {
    // A run of separators is skipped without a search for each.
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

/** The query string of a URL, without its question mark. */
export const searchOf = (url: string): string => {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}

/** `a[b][c]` as a, b, c. Brackets that are not closed are part of the name; what follows closed ones is dropped. */
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

/** The number that a value without a key of its own gets in each: the one after the largest. */
type Counts = Map<Parameters, number>

function assign(target: Parameters, path: readonly string[], value: string | null, counts: Counts) {
  let node = target
  for (const [index, part] of path.entries()) {
    const key = part === '' && index > 0 ? String(counts.get(node) ?? 0) : part
    if (/^\d{1,9}$/.test(key)) counts.set(node, Math.max(counts.get(node) ?? 0, Number(key) + 1))
    if (index === path.length - 1) {
      node[key] = value
    } else {
      const next = node[key]
      const child: Parameters = typeof next === 'object' && next !== null ? next : Object.create(null)
      node[key] = child
      node = child
    }
  }
}

const [SPACE, PERCENT, AMPERSAND, PLUS] = [0x20, 0x25, 0x26, 0x2b] as const

/** The value of a hexadecimal digit by its character code; -1 for other characters. */
const HEX = Int8Array.from({ length: 256 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(digit) ? -1 : digit
})

const hexValue = (code: number | undefined) => HEX[code ?? 0] as number

/** Decodes in place, in one pass: a replacement with a callback takes a microsecond for each escape. */
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
