import { MESSAGES } from '../messages.ts'

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

/**
 * Reads a query string as PHP does: `a[b][c]=d` nests, the last of equal names wins, `a[]` counts up, `+` is a
 * space, what is not valid percent-encoding is taken as it is. Values are trimmed, unless they are to be kept,
 * and what is empty is null. The objects have no prototype.
 *
 * @param text in latin1, one character for each byte that was sent
 * @param options.most how many parameters there can be
 * @throws {QueryTooLarge} beyond that and {@link QUERY_LIMITS}
 */
export function parseQueryString(
  text: string,
  { trim = true, most = QUERY_LIMITS.parameters }: { trim?: boolean; most?: number } = {},
): Parameters {
  const result: Parameters = Object.create(null)
  if (text === '') return result
  const pairs = text.split('&').filter(pair => pair !== '')
  if (pairs.length > most) {
    throw new QueryTooLarge(rules.maxItems('query', most))
  }
  const counts: Counts = new Map()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = decode(equals === -1 ? pair : pair.slice(0, equals))
    const text = decode(equals === -1 ? '' : pair.slice(equals + 1))
    const value = trim ? text.trim() : text
    assign(result, namePath(name), value === '' ? null : value, counts)
  }
  return result
}

/** The query string of a URL, without its question mark. */
export const searchOf = (url: string): string => {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}

/** `a[b][c]` as a, b, c. Brackets that are not closed are part of the name. */
function namePath(name: string): string[] {
  const [, first = name, brackets = ''] = /^([^[]+)((?:\[[^\]]*\])+)/.exec(name) ?? []
  const rest = [...brackets.matchAll(/\[([^\]]*)\]/g)].map(match => match[1] ?? '')
  if (rest.length >= QUERY_LIMITS.depth) {
    throw new QueryTooLarge(rules.maxDepth('query', QUERY_LIMITS.depth))
  }
  return [first, ...rest]
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

function decode(text: string): string {
  const spaced = text.replaceAll('+', ' ')
  if (!/[%\x80-\xff]/.test(spaced)) return spaced
  const bytes = spaced.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
