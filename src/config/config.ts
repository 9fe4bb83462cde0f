import { isIP } from 'node:net'
import { isLoopback } from '#src/auth/origin.ts'
import { CHANGE_PASSWORD_PATH } from './paths.ts'
import { basePath, publicUrl } from './public-url.ts'
import type { Values } from './settings.ts'

/** Settings that always have a value: their defaults derive from other settings. */
type Derived = ReturnType<typeof deriveDefaults>

/** The validated environment. `apiPath` and `authPath` are prefixes: the root is the empty string. */
export interface Config extends Omit<Values, keyof Derived>, Derived {}

/** Adds derived defaults to the values of settings. */
export const deriveConfig = (values: Values): Config => ({ ...values, ...deriveDefaults(values) })

/** Sanctum's default. */
const LOCAL_FIRST_PARTIES = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']

/**
 * The default of SANCTUM_STATEFUL_DOMAINS: local development servers if APP_URL is local, otherwise none, because any
 * installed program can serve pages from localhost.
 */
const localFirstParties = (appUrl: URL): string[] =>
  isLoopback(appUrl)
    ? [
        ...new Set([
          ...LOCAL_FIRST_PARTIES,
          ...['127.0.0.1', 'localhost'].map(name => withPort(name, appUrl)),
        ]),
      ]
    : []

const withPort = (name: string, { port }: URL): string => (port === '' ? name : `${name}:${port}`)

function deriveDefaults(values: Values) {
  const appEnv = values.appEnv ?? (values.databaseUrl === null ? 'local' : 'production')
  const appUrl = values.appUrl ?? new URL(`http://${urlHost(values.host)}:${values.port}`)
  const frontendUrl = values.frontendUrl ?? (appEnv === 'local' ? new URL('http://localhost:3000') : appUrl)
  return {
    appEnv,
    appUrl,
    frontendUrl,
    cookiePath: basePath(appUrl) || '/',
    loginUrl: values.loginUrl ?? pageOf(frontendUrl, 'login'),
    resetPasswordUrl: values.resetPasswordUrl ?? pageOf(frontendUrl, 'reset-password'),
    changePasswordUrl: values.changePasswordUrl ?? publicUrl(appUrl, CHANGE_PASSWORD_PATH),
    statefulDomains: values.statefulDomains ?? Object.freeze(localFirstParties(appUrl)),
    sessionSecure: values.sessionSecure ?? appUrl.protocol === 'https:',
  }
}

/** The URL of a page below a base URL. */
function pageOf(site: URL, page: string) {
  const address = new URL(site)
  address.pathname = `${site.pathname.replace(/\/$/, '')}/${page}`
  return address
}

/**
 * Addresses that `localhost` reaches. The default APP_URL names it, because cookies belong to host names and local
 * pages use that one.
 */
const LOCALHOST = ['127.0.0.1', '::1', '0.0.0.0', '::']

/** The host of the default APP_URL, by the address to listen on. */
function urlHost(host: string) {
  if (LOCALHOST.includes(host)) return 'localhost'
  return isIP(host) === 6 ? `[${host}]` : host
}
