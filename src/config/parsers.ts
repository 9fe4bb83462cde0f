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

function parseUrl(text: string, protocols: readonly string[]) {
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
    parseUrl(text, protocols)
    return text
  }

/**
 * Parses the URL of a server with one of some protocols, which may have a user and a password.
 *
 * @throws {ExpectedValue} also if their reserved characters are not percent-encoded, because then the URL has another host
 */
export function parseServerUrl(text: string, protocols: readonly string[]): URL {
  const isOfServer = protocols.some(protocol => text.toLowerCase().startsWith(`${protocol}//`))
  if (isOfServer && hasUnencodedCredentials(text)) {
    throw new ExpectedValue(
      'a URL with user and password percent-encoded: # as %23, / as %2F, ? as %3F, @ as %40, % as %25',
    )
  }
  if (isOfServer && !URL.canParse(text)) {
    throw new ExpectedValue(
      'a URL of one host, with a port up to 65535 (a value with # needs quotes in .env, and # is %23 in a URL)',
    )
  }
  return parseUrl(text, protocols)
}

/** Validates the URL of a server and returns its text. */
export const serverUrl =
  (...protocols: string[]) =>
  (text: string): string => {
    parseServerUrl(text, protocols)
    return text
  }

/** Whether the user or password of a URL seems to have reserved characters: `#`, `/` and `?` end the authority early. */
function hasUnencodedCredentials(text: string): boolean {
  const [, authority = '', rest = ''] = /^[^/]*\/\/([^/?#]*)(.*)$/s.exec(text) ?? []
  const credentials = authority.slice(0, Math.max(authority.lastIndexOf('@'), 0))
  if (credentials.includes('@') || /%(?![\da-f]{2})/i.test(credentials)) return true
  // The query of a socket's URL may have an @, as in ?user=a@b.
  return !authority.includes('@') && (URL.canParse(text) ? /^[^=]*@/ : /@/).test(rest)
}

/** Parses an HTTP URL. */
export const webAddress = (text: string) => parseUrl(text, ['http:', 'https:'])

/** Parses the HTTP URL of a site, which has no query, fragment or credentials. */
export function siteAddress(text: string): URL {
  const url = webAddress(text)
  if (
    url.search + url.hash + url.username + url.password !== '' ||
    !/^(\/[\w.~-]+)*\/?$/.test(url.pathname)
  ) {
    throw new ExpectedValue('a URL such as https://api.example.org or https://example.org/themes')
  }
  return url
}

/** Parses a URL path and removes its trailing slash: the root becomes the empty string. */
export function pathPrefix(text: string) {
  if (!/^(\/[\w.~-]+)*\/?$/.test(text) || text === '') {
    throw new ExpectedValue('a path such as /api, or / for the root')
  }
  return text.replace(/\/$/, '')
}
