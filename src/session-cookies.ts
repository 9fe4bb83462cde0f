import type { Config } from './config.ts'

/** The name under which scripts look for the CSRF token. */
export const CSRF_COOKIE = 'XSRF-TOKEN'

type Settings = Pick<
  Config,
  'sessionCookie' | 'sessionDomain' | 'sessionSecure' | 'sessionSameSite' | 'sessionPartitioned'
>

/** How the session's cookies are named and what they are restricted to. */
export interface SessionCookies {
  /** The name of the session cookie. */
  name: string
  /** The attributes of all of our cookies, but for their age and whether scripts see them. */
  attributes: {
    path: string
    domain?: string
    secure: boolean
    sameSite: Config['sessionSameSite']
    partitioned: boolean
  }
  /** All values of the session cookie in a `Cookie` header: more than one if another host has set one, too. */
  read(header: string | undefined): string[]
}

/**
 * The session's cookies as configured. One for HTTPS that belongs to no wider domain has the prefix `__Host-`,
 * so that no other host can set it (RFC 6265bis §4.1.3.2).
 */
export function sessionCookies({
  sessionCookie,
  sessionDomain,
  sessionSecure,
  sessionSameSite,
  sessionPartitioned,
}: Settings): SessionCookies {
  const name = sessionSecure && sessionDomain === null ? `__Host-${sessionCookie}` : sessionCookie
  const prefix = `${name}=`
  return {
    name,
    attributes: {
      path: '/',
      ...(sessionDomain !== null && { domain: sessionDomain }),
      secure: sessionSecure,
      sameSite: sessionSameSite,
      partitioned: sessionPartitioned,
    },
    read: (header = '') =>
      header
        .split(';')
        .map(pair => pair.trim())
        .filter(pair => pair.startsWith(prefix))
        .map(pair => pair.slice(prefix.length)),
  }
}
