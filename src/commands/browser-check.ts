import { createFirstParty, createHostCheck, isLoopback } from '#src/auth/origin.ts'
import { sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'
import { basePath } from '#src/config/public-url.ts'
import { lazyPackage } from '#src/runtime/lazy-package.ts'

const tldts = lazyPackage<typeof import('tldts')>('tldts')

/** A prediction about the browser; for a problem, with the remedy. */
export interface Finding {
  isProblem: boolean
  /** Whether a problem concerns links in mails, and not the login. */
  concernsLinks?: boolean
  text: string
}

const fine = (text: string): Finding => ({ isProblem: false, text })
const problem = (text: string): Finding => ({ isProblem: true, text })
const linkProblem = (text: string): Finding => ({ isProblem: true, concernsLinks: true, text })

/**
 * Predicts how browsers treat this server's cookies and responses on a page of some origin.
 *
 * @param origin the page's origin, such as `http://localhost:3000`
 * @param api the URL at which the page calls this server: an origin, and a path if APP_URL has one
 */
export function predictBrowser(config: Config, origin: URL, api: URL): Finding[] {
  const relation = { config, origin, api, isSameOrigin: origin.origin === api.origin }
  return [
    checkHost,
    checkFirstParty,
    checkScheme,
    checkCors,
    checkSite,
    checkCookieDomain,
    checkCookiePath,
    checkSecureCookie,
    checkCsrf,
    checkBearer,
    checkMailLinks,
    checkRedirect,
  ].flatMap(check => check(relation) ?? [])
}

/**
 * The URL at which a page calls this server: APP_URL, but with the page's own loopback name if both are local,
 * because cookies belong to host names. Not with `[::1]`, where a server that listens on 127.0.0.1 does not answer.
 */
export function apiOriginFor({ appUrl }: Config, origin: URL): URL {
  const api = new URL(basePath(appUrl) || '/', appUrl)
  if (isLoopback(api) && isLoopback(origin) && origin.hostname !== '[::1]') api.hostname = origin.hostname
  return api
}

interface Relation {
  config: Config
  origin: URL
  api: URL
  isSameOrigin: boolean
}

function checkHost({ config, api }: Relation): Finding | null {
  const { appEnv, appUrl, appHosts } = config
  if (appEnv !== 'production' || createHostCheck([appUrl.hostname, ...appHosts])(api.host)) return null
  return problem(
    `${api.hostname} is neither APP_URL's host nor in APP_HOSTS: in production every request there gets a 400 response. Add it to APP_HOSTS.`,
  )
}

function checkFirstParty({ config, origin, api }: Relation): Finding[] {
  const { statefulDomains, appUrl, apiPath } = config
  const where = apiPath === '' ? 'the API' : apiPath
  if (!createFirstParty(statefulDomains, appUrl).includes(origin.origin, api.host)) {
    return [
      problem(
        `${origin.origin} is not a first party: its requests to ${where} have no session and get a 401 response unless they carry a token. Add ${origin.protocol === appUrl.protocol ? origin.host : origin.origin} to SANCTUM_STATEFUL_DOMAINS, which is ${statefulDomains.join(',') || 'empty'}.`,
      ),
    ]
  }
  const found = [
    fine(`${origin.origin} is a first party: its requests to ${where} have the session of the cookie.`),
  ]
  const plain = `http://${origin.host}`
  if (origin.protocol === 'https:' && createFirstParty(statefulDomains, appUrl).includes(plain, api.host)) {
    found.push(
      fine(
        `${plain} is one as well, although the network could forge such a page: remove it from SANCTUM_STATEFUL_DOMAINS.`,
      ),
    )
  }
  return found
}

function checkScheme({ origin, api }: Relation): Finding | null {
  if (origin.protocol !== 'https:' || api.protocol === 'https:' || isLoopback(api)) return null
  return problem(
    `The browser blocks calls from a page on https to ${api.origin}, which is not (mixed content). Serve it over HTTPS and set APP_URL accordingly.`,
  )
}

function checkCors({ config, origin, api, isSameOrigin }: Relation): Finding {
  if (isSameOrigin) return fine('Page and server have the same origin: CORS does not apply.')
  const { statefulDomains, appUrl, corsAllowedOrigins } = config
  if (
    corsAllowedOrigins.includes(origin.origin) ||
    createFirstParty(statefulDomains, appUrl).includes(origin.origin, api.host)
  ) {
    return fine('CORS lets its scripts read responses, with cookies: requests need `credentials: "include"`.')
  }
  return problem(
    corsAllowedOrigins.includes('*')
      ? 'CORS lets its scripts read responses, except to requests with cookies: only first parties and the origins named in CORS_ALLOWED_ORIGINS may read those.'
      : `CORS hides responses from its scripts ("No 'Access-Control-Allow-Origin' header"): only first parties and CORS_ALLOWED_ORIGINS may read them.`,
  )
}

/** A site is a scheme and a registrable domain. Browsers restrict cookies to sites, not to origins. */
const siteOf = ({ protocol, hostname }: URL) =>
  `${protocol}//${tldts().getDomain(hostname, { allowPrivateDomains: true }) ?? hostname}`

/** The origin with another host name. */
function withName(origin: URL, hostname: string): string {
  const renamed = new URL(origin.origin)
  renamed.hostname = hostname
  return renamed.origin
}

function checkSite({ config, origin, api }: Relation): Finding {
  if (siteOf(origin) === siteOf(api)) {
    return fine(`Page and server belong to the same site, ${siteOf(api)}: the browser sends the cookies.`)
  }
  const between = `${origin.origin} and ${api.origin} belong to different sites`
  if (isLoopback(origin) && isLoopback(api) && origin.protocol === api.protocol) {
    // A server that listens on 127.0.0.1 is reached by the name localhost, and not at [::1].
    const remedy =
      origin.hostname === '[::1]'
        ? `Open the page on ${withName(origin, api.hostname)}.`
        : `Let the page call ${withName(api, origin.hostname)}.`
    return problem(`${between}, although both are this machine: cookies belong to host names. ${remedy}`)
  }
  if (config.sessionSameSite !== 'none') {
    return problem(
      `${between}: with SESSION_SAME_SITE=${config.sessionSameSite} the browser sends no cookies, and every request is anonymous. Serve both under one domain and scheme.`,
    )
  }
  return config.sessionPartitioned
    ? fine(`${between}: the browser keeps separate cookies for each embedding site (CHIPS).`)
    : problem(
        `${between}: the cookies are third-party cookies, which Safari and Firefox block. Serve both under one domain, or set SESSION_PARTITIONED_COOKIE=true.`,
      )
}

/** SESSION_DOMAIN without its leading dot; whether a host is in it. */
const domainOf = ({ sessionDomain }: Config) => sessionDomain?.replace(/^\./, '') ?? null
const isWithin = ({ hostname }: URL, domain: string) => `.${hostname}`.endsWith(`.${domain}`)

function checkCookieDomain({ config, api }: Relation): Finding | null {
  const domain = domainOf(config)
  if (domain === null || isWithin(api, domain)) return null
  return problem(
    `SESSION_DOMAIN=${config.sessionDomain} does not include ${api.hostname}: browsers refuse the server's cookies. Call the server by a name in the domain, or unset SESSION_DOMAIN.`,
  )
}

function checkCookiePath({ config: { cookiePath }, api }: Relation): Finding | null {
  if (cookiePath === '/') return null
  if ((basePath(api) || '/') === cookiePath)
    return fine(`The browser sends the cookies to ${cookiePath} alone.`)
  return problem(
    `The cookies have the path of APP_URL, ${cookiePath}: the browser does not send them to ${api.href}. Call the server at ${api.origin}${cookiePath}, or change APP_URL.`,
  )
}

function checkSecureCookie({ config, api }: Relation): Finding {
  const { name } = sessionCookies(config).session
  if (!config.sessionSecure) {
    return api.protocol === 'https:'
      ? problem(`The cookie ${name} is not restricted to HTTPS: use https:// in APP_URL.`)
      : fine(
          `The cookie ${name} is sent over plain HTTP, ${isLoopback(api) ? 'which is acceptable only on this machine' : 'where the network can read it'}.`,
        )
  }
  if (api.protocol === 'https:') return fine(`The cookie ${name} is sent only over HTTPS.`)
  return problem(
    `The cookie ${name} is restricted to HTTPS, but ${api.origin} is not HTTPS: browsers drop it (some except this machine), and users do not stay logged in. Set APP_URL to the address that the browser uses.`,
  )
}

/** Scripts that send a token instead of a session. */
function checkBearer({ config, origin, api, isSameOrigin }: Relation): Finding | null {
  const { statefulDomains, appUrl } = config
  if (isSameOrigin || !createFirstParty(statefulDomains, appUrl).includes(origin.origin, api.host))
    return null
  return fine(
    'Its requests with a bearer token are read as those of a page with a session: they can read, and change only with the CSRF token. A page that uses bearer tokens alone belongs to an origin that is not in SANCTUM_STATEFUL_DOMAINS.',
  )
}

function checkCsrf({ config, origin, api, isSameOrigin }: Relation): Finding {
  if (isSameOrigin && (api.protocol === 'https:' || isLoopback(api))) {
    return fine('Changes are accepted, because the browser reports that they come from the same origin.')
  }
  if (config.csrfMode === 'origin-only') {
    return problem(
      `With CSRF_MODE=origin-only every change gets a 403 response: ${isSameOrigin ? `browsers send Sec-Fetch-Site only over HTTPS and on this machine` : `${origin.origin} is another origin than ${api.origin}`}.`,
    )
  }
  const domain = domainOf(config)
  const isReadable = origin.hostname === api.hostname || (domain !== null && isWithin(origin, domain))
  if (isReadable) {
    return fine(
      `Its scripts can read the cookie ${config.csrfCookie} and must send its value in the header X-XSRF-TOKEN with every change (axios: withXSRFToken).`,
    )
  }
  const shared = tldts().getDomain(origin.hostname, { allowPrivateDomains: true })
  const remedy =
    shared !== null && `.${api.hostname}`.endsWith(`.${shared}`)
      ? `Set SESSION_DOMAIN=.${shared}.`
      : 'Serve both under one domain.'
  return problem(
    `Its scripts cannot read the cookie ${config.csrfCookie}, which belongs to ${api.hostname}: every change gets a 419 response. ${remedy}`,
  )
}

/** Links in mails lead to APP_URL and need the session that the browser has at the page's API origin. */
function checkMailLinks({ config, origin, api }: Relation): Finding | null {
  const { appUrl } = config
  const domain = domainOf(config)
  if (appUrl.hostname === api.hostname) return null
  if (domain !== null && isWithin(appUrl, domain) && isWithin(api, domain)) return null
  const text = `Links in mails lead to APP_URL, ${appUrl.origin}, where the browser does not have the session of ${api.hostname}: opening them requires a login`
  const remedy =
    isLoopback(origin) && origin.hostname !== appUrl.hostname
      ? `Open the page on ${withName(origin, appUrl.hostname)}`
      : `Let the page call ${appUrl.origin}`
  return linkProblem(`${text}. ${remedy}, or set APP_URL=${api.origin}.`)
}

/** Opening a verification link redirects to FRONTEND_URL, which should be the page's website. */
function checkRedirect({ config, origin }: Relation): Finding | null {
  const { frontendUrl } = config
  if (frontendUrl.origin === origin.origin) return null
  const text = `After links in mails the browser is redirected to FRONTEND_URL, ${frontendUrl.origin}, not to ${origin.origin}`
  return isLoopback(frontendUrl) && isLoopback(origin) && frontendUrl.hostname !== origin.hostname
    ? linkProblem(
        `${text}: two names of this machine, with separate cookies. Set FRONTEND_URL=${origin.origin}, or open the page there.`,
      )
    : fine(`${text}. Set FRONTEND_URL if that is wrong.`)
}
