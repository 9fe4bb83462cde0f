/** The name under which scripts look for the CSRF token. */
export const CSRF_COOKIE = 'XSRF-TOKEN'

/** What is configured of our cookies. */
export interface CookieSettings {
  sessionCookie: string
  /** The domain whose hosts all get the cookies; null for our own host alone. */
  sessionDomain: string | null
  sessionSecure: boolean
  sessionSameSite: 'lax' | 'strict' | 'none'
  sessionPartitioned: boolean
}

/** A cookie of ours that only the browser itself sees. */
interface HiddenCookie {
  name: string
  /** Its different values in a `Cookie` header: more than one if another host has set one, too. */
  read(header: string | undefined): string[]
}

/** How our cookies are named and what they are restricted to. */
export interface SessionCookies {
  session: HiddenCookie
  /** What remembers the browser beyond its session. */
  remember: HiddenCookie
  /** The attributes of all of them, but for their age and whether scripts see them. */
  attributes: {
    path: string
    domain?: string
    secure: boolean
    sameSite: CookieSettings['sessionSameSite']
    partitioned: boolean
  }
}

/** The name of the cookie that remembers a browser. */
export const REMEMBER_COOKIE = 'remember_web'

/**
 * Our cookies as configured. One for HTTPS that belongs to no wider domain has the prefix `__Host-`, so that no
 * other host can set it (RFC 6265bis §4.1.3.2).
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
    session: hiddenCookie(prefix + sessionCookie),
    remember: hiddenCookie(prefix + REMEMBER_COOKIE),
    attributes: {
      path: '/',
      ...(sessionDomain !== null && { domain: sessionDomain }),
      secure: sessionSecure,
      sameSite: sessionSameSite,
      partitioned: sessionPartitioned,
    },
  }
}

function hiddenCookie(name: string): HiddenCookie {
  const start = `${name}=`
  return {
    name,
    read: (header = '') => {
      const pairs = header.split(';').map(pair => pair.trim())
      return [...new Set(pairs.filter(pair => pair.startsWith(start)))].map(pair => pair.slice(start.length))
    },
  }
}
