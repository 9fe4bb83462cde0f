import type { IncomingMessage, RequestListener } from 'node:http'

/**
 * A parameter of a `Forwarded` element, or none, with what follows it (RFC 7239 §4): a value is a quoted string or a token,
 * which may have the characters of an address.
 */
const PARAMETER =
  /[ \t]*(?:([!#$%&'*+.^`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?[ \t]*(;|,|$)/y

const READ = new Set(['for', 'host', 'proto'])

type Element = Partial<Record<'for' | 'host' | 'proto', string>>

/**
 * Parses a `Forwarded` header (RFC 7239): one element per proxy, the nearest one last. A port after an address is dropped.
 *
 * @returns null for a header that is malformed anywhere: a client could leave a quotation open, which what a proxy appends
 *   would close
 */
export function parseForwarded(header: string): Element[] | null {
  const elements: Element[] = []
  let element: Element = {}
  let isEmpty = true
  PARAMETER.lastIndex = 0
  for (;;) {
    const [, name, quoted, token, end] = PARAMETER.exec(header) ?? []
    if (end === undefined) return null
    if (name !== undefined) {
      isEmpty = false
      const value = quoted?.replace(/\\(.)/g, '$1') ?? token ?? ''
      const key = name.toLowerCase()
      if (READ.has(key)) element[key as keyof Element] = key === 'for' ? withoutPort(value) : value
    }
    if (end === ';') continue
    // An empty element counts as none (RFC 9110 §5.6.1).
    if (!isEmpty) elements.push(element)
    if (end === '') return elements
    ;[element, isEmpty] = [{}, true]
  }
}

const withoutPort = (node: string): string =>
  /^\[([^\]]*)\](?::[\w.-]+)?$/.exec(node)?.[1] ?? /^([\d.]+):[\w.-]+$/.exec(node)?.[1] ?? node

/** Requests whose header cannot be read. */
const malformed = new WeakSet<IncomingMessage>()

/** Whether a request has a `Forwarded` header that cannot be read, so that it has no client address. */
export const hasMalformedForwarded = (request: IncomingMessage): boolean => malformed.has(request)

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

function replaceHeaders(request: IncomingMessage) {
  const { headers } = request
  for (const name of ['for', 'host', 'proto', 'port']) delete headers[`x-forwarded-${name}`]
  const { forwarded } = headers
  if (forwarded === undefined) return
  const elements = parseForwarded(forwarded)
  if (elements === null) {
    malformed.add(request)
    return
  }
  const addresses = elements.map(element => element.for ?? 'unknown')
  if (addresses.length > 0) headers['x-forwarded-for'] = addresses.join(', ')
  for (const name of ['host', 'proto'] as const) {
    const value = elements.at(-1)?.[name]
    if (value !== undefined) headers[`x-forwarded-${name}`] = value
  }
}
