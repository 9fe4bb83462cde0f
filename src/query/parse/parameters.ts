import { joinList, type Parameter, type Parameters, parseQueryString } from '#src/input/querystring.ts'

/** How many names may precede a list: `filter[track][id]` has two after the first. */
const LIST_DEPTHS: Readonly<Record<string, number>> = { include: 0, sort: 1, fields: 1, filter: 2 }

/**
 * Parses a query string. Lists have one form, whether the client repeats their name, appends brackets or numbers, or
 * separates the items by commas: text with commas.
 *
 * @throws {QueryTooLarge} for too many parameters or too many brackets
 */
export function readParameters(text: string): Parameters {
  const parameters = parseQueryString(text)
  for (const [name, depth] of Object.entries(LIST_DEPTHS)) {
    const value = parameters[name]
    if (value !== undefined) parameters[name] = joinLists(value, depth)
  }
  return parameters
}

function joinLists(value: Parameter, depth: number): Parameter {
  const joined = joinList(value)
  if (depth === 0 || typeof joined !== 'object' || joined === null) return joined
  for (const [name, inner] of Object.entries(joined)) joined[name] = joinLists(inner, depth - 1)
  return joined
}
