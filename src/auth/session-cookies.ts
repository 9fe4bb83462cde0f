import { lazyPackage } from '#src/runtime/lazy-package.ts'

const tldts = lazyPackage<typeof import('tldts')>('tldts')

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
  /** The path below which requests carry the session. */
  cookiePath: string
}

/** A cookie as requests carry it. */
interface NamedCookie {
  name: string
  path: string
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
  /** The cookie of a verification link that was opened before the login. */
  link: NamedCookie
  /** The attributes of all cookies, except path, max age and HttpOnly. */
  attributes: {
    domain?: string
    secure: boolean
    sameSite: CookieSettings['sessionSameSite']
    partitioned: boolean
  }
}

const ROOT = '/'

const LINK_COOKIE = 'opened_link'

/** The name of the cookie of a remembered device. */
export const REMEMBER_COOKIE = 'remember_web'

/**
 * Returns the cookies as configured. Over HTTPS and without a domain they get the prefix `__Host-`, so that no other
 * host can set them (RFC 6265bis §4.1.3.2); below a path they get `__Secure-`, since the other one excludes paths. Pages
 * outside of the path read the CSRF token too.
 */
export function sessionCookies({
  sessionCookie,
  csrfCookie,
  sessionDomain,
  sessionSecure,
  sessionSameSite,
  sessionPartitioned,
  cookiePath,
}: CookieSettings): SessionCookies {
  const ofOneHost = cookiePath === ROOT ? '__Host-' : '__Secure-'
  const prefix = sessionSecure && sessionDomain === null ? ofOneHost : ''
  return {
    session: createCookie(prefix + sessionCookie, cookiePath),
    remember: createCookie(prefix + REMEMBER_COOKIE, cookiePath),
    csrf: createCookie(csrfCookie, ROOT),
    link: createCookie(prefix + LINK_COOKIE, cookiePath),
    attributes: {
      ...(sessionDomain !== null && { domain: sessionDomain }),
      secure: sessionSecure,
      sameSite: sessionSameSite,
      partitioned: sessionPartitioned,
    },
  }
}

/**
 * Returns the domains and paths under which a browser may have a cookie besides those of the settings: from before
 * SESSION_DOMAIN or APP_URL was changed, or from another host. They cannot be told apart in a request. The domain
 * undefined is the host alone.
 *
 * @param host the host name of the request
 */
export function twinsOf(
  cookie: Pick<NamedCookie, 'path'>,
  host: string,
  { sessionDomain, cookiePath }: Pick<CookieSettings, 'sessionDomain' | 'cookiePath'>,
): { domain: string | undefined; path: string }[] {
  const registrable = tldts().getDomain(host, { allowPrivateDomains: true })
  const labels = registrable === null ? [] : host.split('.')
  const domains = labels
    .map((_, index) => labels.slice(index).join('.'))
    .filter(domain => domain.endsWith(registrable ?? ''))
  const own = sessionDomain?.replace(/^\./, '')
  return [...new Set([ROOT, cookiePath])].flatMap(path =>
    [undefined, ...domains]
      .filter(domain => domain !== own || path !== cookie.path)
      .map(domain => ({ domain, path })),
  )
}

function createCookie(name: string, path: string): NamedCookie {
  const start = `${name}=`
  const pairsIn = (header: string) =>
    header
      .split(';')
      .map(pair => pair.trim())
      .filter(pair => pair.startsWith(start))
  return {
    name,
    path,
    read: (header = '') => [...new Set(pairsIn(header))].map(pair => pair.slice(start.length)),
    isTwice: header => header.indexOf(start) !== header.lastIndexOf(start) && pairsIn(header).length > 1,
  }
}
