import { Expected } from './setting.ts'

/** One of some words. */
export const oneOf =
  <T extends string>(...values: T[]) =>
  (text: string): T => {
    const value = values.find(candidate => candidate === text)
    if (value === undefined) throw new Expected(`one of ${values.join(', ')}`)
    return value
  }

/** A whole number, within bounds. */
export const wholeNumber = (least: number, most: number) => (text: string) => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) throw new Expected(`a whole number from ${least} to ${most}`)
  return value
}

/** What stands between commas, without the spaces around it. */
export const list = (text: string) =>
  text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

/** What may be `null` as well. */
export const nullable =
  <T>(parse: (text: string) => T) =>
  (text: string): T | null =>
    text === 'null' ? null : parse(text)

/** `true` or `false`. */
export const yesOrNo = (text: string) => oneOf('true', 'false')(text) === 'true'

/** `on` or `off`. */
export const onOrOff = (text: string) => oneOf('on', 'off')(text) === 'on'

/** Comma-separated items, all of which are accepted. */
export const listOf =
  (expectation: string, accepts: (item: string) => boolean) =>
  (text: string): readonly string[] => {
    const items = list(text)
    const wrong = items.find(item => !accepts(item))
    if (wrong !== undefined) throw new Expected(`${expectation} (not "${wrong}")`)
    return Object.freeze(items)
  }

function url(text: string, protocols: readonly string[]) {
  const parsed = URL.canParse(text) ? new URL(text) : null
  if (parsed === null || !protocols.includes(parsed.protocol)) {
    throw new Expected(`a URL starting with ${protocols.map(protocol => `${protocol}//`).join(' or ')}`)
  }
  return parsed
}

/** A URL that others read, and stays the text that it is. */
export const urlText =
  (...protocols: string[]) =>
  (text: string): string => {
    url(text, protocols)
    return text
  }

/** The address of a page or a site. */
export const webAddress = (text: string) => url(text, ['http:', 'https:'])

/** A URL path without its trailing slash: the root is the empty string, ready to be a prefix. */
export function pathPrefix(text: string) {
  if (!/^(\/[\w.~-]+)*\/?$/.test(text) || text === '') {
    throw new Expected('a path such as /api, or / for the root')
  }
  return text.replace(/\/$/, '')
}
