import { ExpectedValue } from './setting.ts'

/** Parses one of some words. */
export const oneOf =
  <T extends string>(...values: T[]) =>
  (text: string): T => {
    const value = values.find(candidate => candidate === text)
    if (value === undefined) throw new ExpectedValue(`one of ${values.join(', ')}`)
    return value
  }

/** Parses an integer within bounds. */
export const wholeNumber = (min: number, max: number) => (text: string) => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= min && value <= max)) throw new ExpectedValue(`a whole number from ${min} to ${max}`)
  return value
}

/** Splits at commas and trims. */
export const list = (text: string) =>
  text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

/** Also accepts `null`. */
export const nullable =
  <T>(parse: (text: string) => T) =>
  (text: string): T | null =>
    text === 'null' ? null : parse(text)

/** Parses `true` or `false`. */
export const trueOrFalse = (text: string) => oneOf('true', 'false')(text) === 'true'

/** Parses `on` or `off`. */
export const onOrOff = (text: string) => oneOf('on', 'off')(text) === 'on'

/** Parses comma-separated items and validates each. */
export const listOf =
  (expectation: string, accepts: (item: string) => boolean) =>
  (text: string): readonly string[] => {
    const items = list(text)
    const wrong = items.find(item => !accepts(item))
    if (wrong !== undefined) throw new ExpectedValue(`${expectation} (not "${wrong}")`)
    return Object.freeze(items)
  }

function url(text: string, protocols: readonly string[]) {
  const parsed = URL.canParse(text) ? new URL(text) : null
  if (parsed === null || !protocols.includes(parsed.protocol)) {
    throw new ExpectedValue(`a URL starting with ${protocols.map(protocol => `${protocol}//`).join(' or ')}`)
  }
  return parsed
}

/** Validates a URL and returns its text, for libraries that parse it themselves. */
export const urlText =
  (...protocols: string[]) =>
  (text: string): string => {
    url(text, protocols)
    return text
  }

/** Parses an HTTP URL. */
export const webAddress = (text: string) => url(text, ['http:', 'https:'])

/** Parses a URL path and removes its trailing slash: the root becomes the empty string. */
export function pathPrefix(text: string) {
  if (!/^(\/[\w.~-]+)*\/?$/.test(text) || text === '') {
    throw new ExpectedValue('a path such as /api, or / for the root')
  }
  return text.replace(/\/$/, '')
}
