import type { IncomingMessage, RequestListener } from 'node:http'

/** The authorities that requests named in an absolute-form target. */
const authorities = new WeakMap<IncomingMessage, string>()

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/is

/**
 * Turns an absolute-form target (`GET http://host/path`, RFC 9112 §3.2.2), which any server has to accept, into the
 * origin-form that routes match. The host that it named is left for {@link namesOneHost}.
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
 * Whether a request says where it goes once, or the same each time. Two `Host` headers (RFC 9112 §3.2), or another host
 * in the target than in `Host`, lead a cache or proxy before us to another conclusion than us.
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
