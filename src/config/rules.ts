import { isIP } from 'node:net'
import { isLoopback, matchesPublicSuffix } from '#src/auth/origin.ts'
import { lazyPackage } from '#src/runtime/lazy-package.ts'
import type { Seconds } from '#src/runtime/units.ts'
import type { Config } from './config.ts'
import { SYSTEM_PATHS } from './paths.ts'
import { basePath } from './public-url.ts'

const tldts = lazyPackage<typeof import('tldts')>('tldts')

/** Yields a line for each contradiction between settings, in any environment. */
export function* contradictions(config: Config) {
  const { apiPath, authPath, databaseUrl, appKey, appUrl } = config
  for (const [name, path] of [
    ['API_PATH', apiPath],
    ['AUTH_PATH', authPath],
  ]) {
    const taken = SYSTEM_PATHS.find(reserved => path === reserved || path?.startsWith(`${reserved}/`))
    if (taken) yield `${name}=${path}: expected a path outside ${taken}, which the server uses itself`
  }
  const base = basePath(appUrl)
  for (const path of base === '' ? [] : [apiPath, authPath, ...SYSTEM_PATHS]) {
    if (path !== base && !path.startsWith(`${base}/`)) continue
    yield `APP_URL=${appUrl.href}: expected without ${base}, or with another path, because ${path} is a path of this server below it`
  }
  if (databaseUrl !== null && appKey === null) {
    yield 'APP_KEY is not set: expected with DATABASE_URL, as base64: and then 32 bytes in base64 (make one with: npx animethemes-auth key generate)'
  }
  if (config.metricsPort !== null && config.metricsPort !== 0 && config.metricsPort === config.port) {
    yield `METRICS_PORT=${config.metricsPort}: expected another port than PORT`
  }
  if (config.mailUrl !== null && config.mailFrom === null) {
    yield 'MAIL_FROM is not set: expected with MAIL_URL, as an address such as AnimeThemes <no-reply@example.org>'
  }
  if (config.mailUrl !== null && config.frontendUrl === appUrl) {
    yield 'FRONTEND_URL is not set: expected with MAIL_URL, as the address of the website, because mails link to its pages'
  }
  if (!config.registerReveals && config.emailChange === 'immediate') {
    yield 'REGISTER_REVEALS=false: expected EMAIL_CHANGE=confirmed, because an address that changes at once reveals whether it was free'
  }
  if (!config.registerReveals && config.revealUnknownEmail) {
    yield 'REGISTER_REVEALS=false: expected REVEAL_UNKNOWN_EMAIL=false, because a password reset would reveal the same'
  }
  if (config.externalProfilesLocalOnly && config.localIps.length === 0) {
    yield 'LOCAL_IPS is not set: expected with EXTERNAL_PROFILES_LOCAL_ONLY=true, because otherwise no client could see external profiles'
  }
  if (config.sessionCookie === config.csrfCookie) {
    yield `XSRF_COOKIE=${config.csrfCookie}: expected another name than SESSION_COOKIE`
  }
  const domain = config.sessionDomain?.replace(/^\./, '')
  if (domain !== undefined && !`.${appUrl.hostname}`.endsWith(`.${domain}`)) {
    yield `SESSION_DOMAIN=${config.sessionDomain}: expected ${appUrl.hostname}, which is APP_URL's host, or a domain above it, because browsers refuse cookies for others`
  } else if (domain !== undefined && domain !== appUrl.hostname && !isRegistrableDomain(domain, appUrl)) {
    yield `SESSION_DOMAIN=${config.sessionDomain}: expected a registrable domain, such as .example.org, because browsers refuse cookies for IP addresses and for all of ${domain}`
  }
  if (config.csrfMode === 'origin-only' && appUrl.protocol === 'http:' && !isLoopback(appUrl)) {
    yield 'CSRF_MODE=origin-only: expected APP_URL with https://, or on this machine, because browsers send no Sec-Fetch-Site elsewhere'
  }
  if (config.hstsPreload && !(config.hstsIncludeSubdomains && config.hstsMaxAge >= MIN_PRELOAD_MAX_AGE)) {
    yield `HSTS_PRELOAD=true: expected HSTS_INCLUDE_SUBDOMAINS=true and HSTS_MAX_AGE of at least ${MIN_PRELOAD_MAX_AGE}, because the browsers' preload lists accept no other hosts`
  }
  if (!config.sessionSecure && config.sessionSameSite === 'none') {
    yield 'SESSION_SAME_SITE=none: expected APP_URL with https://, because browsers refuse such cookies otherwise'
  }
  if (!config.sessionSecure && config.sessionPartitioned) {
    yield 'SESSION_PARTITIONED_COOKIE=true: expected APP_URL with https://, because browsers refuse such cookies otherwise'
  }
}

/** The minimum max-age of the browsers' preload lists. */
const MIN_PRELOAD_MAX_AGE: Seconds = 31_536_000

/**
 * Whether browsers accept cookies for a parent domain of a host: it is neither a public suffix nor part of an IP
 * address.
 */
const isRegistrableDomain = (domain: string, { hostname }: URL) =>
  isIP(hostname) === 0 && tldts().getDomain(domain, { allowPrivateDomains: true }) !== null

/** Yields a line for each setting that is unsafe in production. */
export function* dangers({
  allowInsecureHttp,
  appKey,
  appUrl,
  statefulDomains,
  sessionSecure,
  trustedProxies,
  hashRounds,
}: Config) {
  if (appUrl.protocol === 'http:' && !isLoopback(appUrl) && !allowInsecureHttp) {
    yield `APP_URL=${appUrl.href}: expected https:// in production, because the network could read passwords, tokens and cookies (ALLOW_INSECURE_HTTP=true for a private network)`
  }
  if (appKey?.isWeak) {
    yield 'APP_KEY: expected random bytes, but these repeat (make a key with: npx animethemes-auth key generate)'
  }
  const open = statefulDomains.find(matchesPublicSuffix)
  if (open !== undefined) {
    yield `SANCTUM_STATEFUL_DOMAINS=${statefulDomains}: expected your own domain after each * in production, as in *.example.org, because websites of strangers match ${open}`
  }
  if (appUrl.protocol === 'https:' && !sessionSecure) {
    yield 'SESSION_SECURE_COOKIE=false: expected true in production with HTTPS, because the network could read the cookies'
  }
  if (trustedProxies.some(proxy => proxy === '*' || proxy.endsWith('/0'))) {
    yield `TRUSTED_PROXIES=${trustedProxies}: expected named proxies in production, because every client could choose its address`
  }
  if (hashRounds < 10) yield `HASH_ROUNDS=${hashRounds}: expected at least 10 in production`
}
