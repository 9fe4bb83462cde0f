import { getDomain } from 'tldts'
import { createFirstParty, isLoopback, createHostCheck } from '#src/auth/origin.ts'
import { CSRF_COOKIE, sessionCookies } from '#src/auth/session-cookies.ts'
import type { Config } from '#src/config/config.ts'

/** One thing that a browser will do, in words, and what to change if it is not what is wanted. */
export interface Finding {
  isProblem: boolean
  text: string
}

const fine = (text: string): Finding => ({ isProblem: false, text })
const problem = (text: string): Finding => ({ isProblem: true, text })

/**
 * Says what a browser will make of the cookies and answers of this server on a page of some origin.
 *
 * @param origin the page's, such as `http://localhost:3000`
 * @param api the address at which the page calls this server
 */
export function examine(config: Config, origin: URL, api: URL): Finding[] {
  const relation = { config, origin, api, isSameOrigin: origin.origin === api.origin }
  return [
    host,
    statefulness,
    scheme,
    cors,
    site,
    cookieDomain,
    secureCookie,
    csrf,
    mailLinks,
    landing,
  ].flatMap(check => check(relation) ?? [])
}

/**
 * The address at which a page calls this server, as far as the settings tell: APP_URL, under the page's own name
 * for this machine where both are on it, since cookies go by names.
 */
export function apiAddress({ appUrl }: Config, origin: URL): URL {
  const api = new URL(appUrl.origin)
  if (isLoopback(api) && isLoopback(origin)) api.hostname = origin.hostname
  return api
}

interface Relation {
  config: Config
  origin: URL
  api: URL
  isSameOrigin: boolean
}

function host({ config, api }: Relation): Finding | null {
  const { appEnv, appUrl, appHosts } = config
  if (appEnv !== 'production' || createHostCheck([appUrl.hostname, ...appHosts])(api.host)) return null
  return problem(
    `${api.hostname} is neither APP_URL's host nor in APP_HOSTS: in production every call there is answered 400. Add it to APP_HOSTS.`,
  )
}

function statefulness({ config, origin, api }: Relation): Finding[] {
  const { statefulDomains, appUrl, apiPath } = config
  const where = apiPath === '' ? 'the API' : apiPath
  if (!createFirstParty(statefulDomains, appUrl).includes(origin.origin, api.host)) {
    return [
      problem(
        `${origin.origin} is not a first party: what it sends to ${where} has no session, and is answered 401 unless it carries a token. Add ${origin.protocol === appUrl.protocol ? origin.host : origin.origin} to SANCTUM_STATEFUL_DOMAINS, which is ${statefulDomains.join(',') || 'empty'}.`,
      ),
    ]
  }
  const found = [
    fine(`${origin.origin} is a first party: what it sends to ${where} has the session of its cookie.`),
  ]
  const plain = `http://${origin.host}`
  if (origin.protocol === 'https:' && createFirstParty(statefulDomains, appUrl).includes(plain, api.host)) {
    found.push(
      fine(
        `${plain} is one as well, and anybody on the way could write such a page: take it out of SANCTUM_STATEFUL_DOMAINS.`,
      ),
    )
  }
  return found
}

function scheme({ origin, api }: Relation): Finding | null {
  if (origin.protocol !== 'https:' || api.protocol === 'https:' || isLoopback(api)) return null
  return problem(
    `The browser blocks calls from a page on https to ${api.origin}, which is not (mixed content). Serve it over HTTPS and say so in APP_URL.`,
  )
}

function cors({ config, origin, api, isSameOrigin }: Relation): Finding {
  if (isSameOrigin) return fine('Page and server have one origin: CORS plays no part.')
  const { statefulDomains, appUrl, corsAllowedOrigins } = config
  if (
    corsAllowedOrigins.includes(origin.origin) ||
    createFirstParty(statefulDomains, appUrl).includes(origin.origin, api.host)
  ) {
    return fine('CORS lets its scripts read answers, with cookies: calls need `credentials: "include"`.')
  }
  return problem(
    corsAllowedOrigins.includes('*')
      ? 'CORS lets its scripts read answers, but not to calls with cookies: only first parties and the origins that CORS_ALLOWED_ORIGINS names may do that.'
      : `CORS keeps answers from its scripts ("No 'Access-Control-Allow-Origin' header"): only first parties and CORS_ALLOWED_ORIGINS may read them.`,
  )
}

/** A site is a scheme and a registrable domain: browsers restrict cookies to it, not to an origin. */
const siteOf = ({ protocol, hostname }: URL) =>
  `${protocol}//${getDomain(hostname, { allowPrivateDomains: true }) ?? hostname}`

function site({ config, origin, api }: Relation): Finding {
  if (siteOf(origin) === siteOf(api)) {
    return fine(`Page and server are of one site, ${siteOf(api)}: the browser sends the cookies along.`)
  }
  const between = `${origin.origin} and ${api.origin} are of different sites`
  if (isLoopback(origin) && isLoopback(api) && origin.protocol === api.protocol) {
    return problem(
      `${between}, although both are this machine: cookies go by names. Let the page call ${api.protocol}//${origin.hostname}${api.port && `:${api.port}`}.`,
    )
  }
  if (config.sessionSameSite !== 'none') {
    return problem(
      `${between}: with SESSION_SAME_SITE=${config.sessionSameSite} the browser sends no cookies along, and every call is anonymous. Serve both under one domain and scheme.`,
    )
  }
  return config.sessionPartitioned
    ? fine(`${between}: the browser keeps the cookies apart for each page that embeds them (CHIPS).`)
    : problem(
        `${between}: the cookies are third-party cookies, which Safari and Firefox block. Serve both under one domain, or set SESSION_PARTITIONED_COOKIE=true.`,
      )
}

/** SESSION_DOMAIN without its dot, and whether a host is in it. */
const domainOf = ({ sessionDomain }: Config) => sessionDomain?.replace(/^\./, '') ?? null
const isWithin = ({ hostname }: URL, domain: string) => `.${hostname}`.endsWith(`.${domain}`)

function cookieDomain({ config, api }: Relation): Finding | null {
  const domain = domainOf(config)
  if (domain === null || isWithin(api, domain)) return null
  return problem(
    `SESSION_DOMAIN=${config.sessionDomain} does not have ${api.hostname}: browsers refuse the cookies that come from there. Call the server by a name within it, or leave it out.`,
  )
}

function secureCookie({ config, api }: Relation): Finding {
  const { name } = sessionCookies(config).session
  if (!config.sessionSecure) {
    return api.protocol === 'https:'
      ? problem(`The cookie ${name} is not for HTTPS alone: say https:// in APP_URL.`)
      : fine(
          `The cookie ${name} goes over plain HTTP: ${isLoopback(api) ? 'right on this machine, and nowhere else' : 'anybody on the way can read it'}.`,
        )
  }
  if (api.protocol === 'https:') return fine(`The cookie ${name} goes over HTTPS alone.`)
  return problem(
    `The cookie ${name} is for HTTPS alone, and ${api.origin} is not: browsers drop it (some make an exception for this machine), and nobody stays logged in. Say in APP_URL how the browser calls the server.`,
  )
}

function csrf({ config, origin, api, isSameOrigin }: Relation): Finding {
  if (isSameOrigin && (api.protocol === 'https:' || isLoopback(api))) {
    return fine('Changes pass as the browser says that they come from the same origin.')
  }
  if (config.csrfMode === 'origin-only') {
    return problem(
      `With CSRF_MODE=origin-only every change is answered 403: ${isSameOrigin ? `browsers say where a page is from over HTTPS and on this machine alone` : `${origin.origin} is another origin than ${api.origin}`}.`,
    )
  }
  const domain = domainOf(config)
  const isReadable = origin.hostname === api.hostname || (domain !== null && isWithin(origin, domain))
  if (isReadable) {
    return fine(
      `Its scripts can read the cookie ${CSRF_COOKIE}, and have to send its value as the header X-XSRF-TOKEN with every change (axios: withXSRFToken).`,
    )
  }
  const shared = getDomain(origin.hostname, { allowPrivateDomains: true })
  const remedy =
    shared !== null && `.${api.hostname}`.endsWith(`.${shared}`)
      ? `Set SESSION_DOMAIN=.${shared}.`
      : 'Serve both under one domain.'
  return problem(
    `Its scripts cannot read the cookie ${CSRF_COOKIE}, which belongs to ${api.hostname}: every change is answered 419. ${remedy}`,
  )
}

/** Links in mails lead to APP_URL, and need the session that the browser has at the address that the page calls. */
function mailLinks({ config, api }: Relation): Finding | null {
  const { appUrl } = config
  const domain = domainOf(config)
  if (appUrl.hostname === api.hostname) return null
  if (domain !== null && isWithin(appUrl, domain) && isWithin(api, domain)) return null
  return problem(
    `Links in mails lead to APP_URL, ${appUrl.origin}, where the browser does not have the session of ${api.hostname}: opening them asks for a login. Let the page call ${appUrl.origin}, or set APP_URL=${api.origin}.`,
  )
}

/** A verified address sends the browser to FRONTEND_URL, which should be this page's website. */
function landing({ config, origin }: Relation): Finding | null {
  const { frontendUrl } = config
  if (frontendUrl.origin === origin.origin) return null
  const text = `After links in mails the browser lands on FRONTEND_URL, ${frontendUrl.origin}, not on ${origin.origin}`
  return isLoopback(frontendUrl) && isLoopback(origin) && frontendUrl.hostname !== origin.hostname
    ? problem(
        `${text}: two names of this machine, whose cookies are separate. Set FRONTEND_URL=${origin.origin}, or open the page there.`,
      )
    : fine(`${text}. Set FRONTEND_URL if that is wrong.`)
}
