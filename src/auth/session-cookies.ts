import { getDomain } from 'tldts'

/** The settings of the server's cookies. */
export interface CookieSettings {
  sessionCookie: string
  /** The cookie from which scripts read the CSRF token. */
  csrfCookie: string
  /** The domain whose hosts all receive the cookies; null for a host-only cookie. */
  sessionDomain: string | null
  sessionSecure: boolean
  sessionSameSite: 'lax' | 'strict' | 'none'
  sessionPartitioned: boolean
}

/** A cookie as requests carry it. */
interface NamedCookie {
  name: string
  /**
   * Returns its distinct values in a `Cookie` header: several if another host has set a cookie of the same name, or this
   * one under other settings.
   */
  read(header: string | undefined): string[]
  /** Whether a `Cookie` header has it more than once, if only with the same value. */
  isTwice(header: string): boolean
}

/** Names and attributes of the server's cookies. */
export interface SessionCookies {
  session: NamedCookie
  /** The cookie of a remembered device. */
  remember: NamedCookie
  csrf: NamedCookie
  /** The attributes of all cookies, except max age and HttpOnly. */
  attributes: {
    path: string
    domain?: string
    secure: boolean
    sameSite: CookieSettings['sessionSameSite']
    partitioned: boolean
  }
}

/** The name of the cookie of a remembered device. */
export const REMEMBER_COOKIE = 'remember_web'

/**
 * Returns the cookies as configured. Over HTTPS and without a domain they get the prefix `__Host-`, so that no other
 * host can set them (RFC 6265bis §4.1.3.2).
 */
export function sessionCookies({
  sessionCookie,
  csrfCookie,
  sessionDomain,
  sessionSecure,
  sessionSameSite,
  sessionPartitioned,
}: CookieSettings): SessionCookies {
  const prefix = sessionSecure && sessionDomain === null ? '__Host-' : ''
  return {
    session: createCookie(prefix + sessionCookie),
    remember: createCookie(prefix + REMEMBER_COOKIE),
    csrf: createCookie(csrfCookie),
    attributes: {
      path: '/',
      ...(sessionDomain !== null && { domain: sessionDomain }),
      secure: sessionSecure,
      sameSite: sessionSameSite,
      partitioned: sessionPartitioned,
    },
  }
}

/**
 * Returns the domains under which a browser may have cookies of the same names besides those of the settings: from before
 * SESSION_DOMAIN was changed, or from another host. They cannot be told apart in a request. Undefined is the host alone.
 *
 * @param host the host name of the request
 */
export function twinDomains(host: string, { sessionDomain }: Pick<CookieSettings, 'sessionDomain'>) {
  const registrable = getDomain(host, { allowPrivateDomains: true })
  const labels = registrable === null ? [] : host.split('.')
  const domains = labels
    .map((_, index) => labels.slice(index).join('.'))
    .filter(domain => domain.endsWith(registrable ?? ''))
  const own = sessionDomain?.replace(/^\./, '')
  return [...(own === undefined ? [] : [undefined]), ...domains.filter(domain => domain !== own)]
}

function createCookie(name: string): NamedCookie {
  const start = `${name}=`
  const pairsIn = (header: string) =>
    header
      .split(';')
      .map(pair => pair.trim())
      .filter(pair => pair.startsWith(start))
  return {
    name,
    read: (header = '') => [...new Set(pairsIn(header))].map(pair => pair.slice(start.length)),
    isTwice: header => header.indexOf(start) !== header.lastIndexOf(start) && pairsIn(header).length > 1,
  }
}
