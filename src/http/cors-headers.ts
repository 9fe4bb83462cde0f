import type { FirstParty } from '#src/auth/origin.ts'

const EXPOSED =
  'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Retry-After, X-Request-Id, X-Revoked-Tokens'

/**
 * Returns the CORS headers with which a page may read a response; none for a page that may not. The host is the one that the
 * client asked for.
 */
export type CorsHeaders = (origin: string | undefined, host: string) => Readonly<Record<string, string>>

const NONE = {}

/**
 * Creates the {@link CorsHeaders} of a server (Fetch §3.2): first parties and CORS_ALLOWED_ORIGINS may read responses, both
 * with cookies. `*` allows other origins without cookies. Every response has them, whatever refused the request: without
 * them a page learns only that there was an error.
 *
 * @param allowedOrigins CORS_ALLOWED_ORIGINS
 */
export function createCorsHeaders(firstParty: FirstParty, allowedOrigins: readonly string[]): CorsHeaders {
  const allowed = new Set(allowedOrigins)
  const others = allowed.has('*')
    ? { 'access-control-allow-origin': '*', 'access-control-expose-headers': EXPOSED }
    : NONE
  return (origin, host) => {
    if (origin === undefined) return NONE
    if (!allowed.has(origin) && !firstParty.includes(origin, host)) return others
    return {
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': EXPOSED,
    }
  }
}
