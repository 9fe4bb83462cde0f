/** The cookie from which scripts read the CSRF token. */
export const CSRF_COOKIE = 'XSRF-TOKEN'

/** The settings of the server's cookies. */
export interface CookieSettings {
  sessionCookie: string
  /** The domain whose hosts all receive the cookies; null for a host-only cookie. */
  sessionDomain: string | null
  sessionSecure: boolean
  sessionSameSite: 'lax' | 'strict' | 'none'
  sessionPartitioned: boolean
}

/** An HttpOnly cookie. */
interface HttpOnlyCookie {
  name: string
  /** Returns its distinct values in a `Cookie` header: several if another host has set a cookie of the same name. */
  read(header: string | undefined): string[]
}

/** Names and attributes of the server's cookies. */
export interface SessionCookies {
  session: HttpOnlyCookie
  /** The cookie of a remembered device. */
  remember: HttpOnlyCookie
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
  sessionDomain,
  sessionSecure,
  sessionSameSite,
  sessionPartitioned,
}: CookieSettings): SessionCookies {
  const prefix = sessionSecure && sessionDomain === null ? '__Host-' : ''
  return {
    session: createCookie(prefix + sessionCookie),
    remember: createCookie(prefix + REMEMBER_COOKIE),
    attributes: {
      path: '/',
      ...(sessionDomain !== null && { domain: sessionDomain }),
      secure: sessionSecure,
      sameSite: sessionSameSite,
      partitioned: sessionPartitioned,
    },
  }
}

function createCookie(name: string): HttpOnlyCookie {
  const start = `${name}=`
  return {
    name,
    read: (header = '') => {
      const pairs = header.split(';').map(pair => pair.trim())
      return [...new Set(pairs.filter(pair => pair.startsWith(start)))].map(pair => pair.slice(start.length))
    },
  }
}
