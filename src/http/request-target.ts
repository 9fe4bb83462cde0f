import type { IncomingMessage, RequestListener } from 'node:http'

/** The authorities of requests with an absolute-form target. */
const authorities = new WeakMap<IncomingMessage, string>()

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/is

/**
 * Converts an absolute-form target (`GET http://host/path`), which every server must accept (RFC 9112 §3.2.2), to
 * origin-form, which routes match. {@link namesOneHost} checks its host.
 */
export const withOriginForm =
  (handle: RequestListener): RequestListener =>
  (request, response) => {
    const { url = '' } = request
    if (!url.startsWith('/')) {
      const [, authority, rest = ''] = ABSOLUTE_FORM.exec(url) ?? []
      if (authority !== undefined) {
        authorities.set(request, authority)
        request.url = rest.startsWith('/') ? rest : `/${rest}`
      }
    }
    handle(request, response)
  }

/**
 * Removes the path of APP_URL from targets, as some proxies do and others do not.
 *
 * @param basePath without a trailing slash; empty for none
 */
export const withoutBasePath = (handle: RequestListener, basePath: string): RequestListener =>
  basePath === ''
    ? handle
    : (request, response) => {
        const { url = '' } = request
        if (url.startsWith(basePath) && /^([/?]|$)/.test(url.slice(basePath.length))) {
          request.url = url.slice(basePath.length).replace(/^(?!\/)/, '/')
        }
        handle(request, response)
      }

/**
 * Whether a request names exactly one host. With two `Host` headers (RFC 9112 §3.2), or different hosts in target and
 * `Host`, a cache or proxy in front may choose another one than this server (cache poisoning).
 */
export function namesOneHost(request: IncomingMessage): boolean {
  const { headers, rawHeaders } = request
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  if (hosts > 1) return false
  const authority = authorities.get(request)
  return authority === undefined || authority.toLowerCase() === (headers.host ?? '').toLowerCase()
}
