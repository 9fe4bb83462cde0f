import type { IncomingMessage, RequestListener } from 'node:http'

/** A parameter of a `Forwarded` element, with a token or a quoted string (RFC 7239 §4). */
const PARAMETER = /^(for|host|proto) *= *(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))$/i

/** Elements, at commas outside of quotes. */
const ELEMENTS = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g

/** Parameters of an element, at semicolons outside of quotes. */
const PARAMETERS = /(?:[^;"]|"(?:[^"\\]|\\.)*")+/g

/** The longest header that is read: an unclosed quote takes quadratic time. */
const MAX_LENGTH = 1_000

type Element = Partial<Record<'for' | 'host' | 'proto', string>>

/**
 * Parses a `Forwarded` header (RFC 7239): one element per proxy, the nearest one last. A port after an address is dropped.
 * Returns an empty list for a header that is malformed.
 */
export function parseForwarded(header: string): Element[] {
  if (header.length > MAX_LENGTH) return []
  return (header.match(ELEMENTS) ?? []).map(text => {
    const element: Element = {}
    for (const part of text.match(PARAMETERS) ?? []) {
      const [, name = '', quoted, token] = PARAMETER.exec(part.trim()) ?? []
      const value = quoted?.replace(/\\(.)/g, '$1') ?? token
      if (value !== undefined) element[name.toLowerCase() as keyof Element] = value
    }
    return element.for === undefined ? element : { ...element, for: withoutPort(element.for) }
  })
}

const withoutPort = (node: string): string =>
  /^\[([^\]]*)\](?::[\w.-]+)?$/.exec(node)?.[1] ?? /^([\d.]+):[\w.-]+$/.exec(node)?.[1] ?? node

/**
 * Replaces the `X-Forwarded-*` headers of requests by what their `Forwarded` header says, for all that reads them later, which
 * trusts them only from trusted proxies.
 */
export const withForwardedHeader =
  (handle: RequestListener): RequestListener =>
  (request, response) => {
    replaceHeaders(request)
    handle(request, response)
  }

function replaceHeaders({ headers }: IncomingMessage) {
  for (const name of ['for', 'host', 'proto', 'port']) delete headers[`x-forwarded-${name}`]
  const { forwarded } = headers
  if (forwarded === undefined) return
  const elements = parseForwarded(forwarded)
  const addresses = elements.map(element => element.for ?? 'unknown')
  if (addresses.length > 0) headers['x-forwarded-for'] = addresses.join(', ')
  for (const name of ['host', 'proto'] as const) {
    const value = elements.at(-1)?.[name]
    if (value !== undefined) headers[`x-forwarded-${name}`] = value
  }
}
