import { isIP } from 'node:net'
import { isLoopback } from '#src/auth/origin.ts'
import { CHANGE_PASSWORD_PATH } from './paths.ts'
import type { Values } from './settings.ts'

/** The settings that have a value in any case: their defaults follow from other settings. */
type Derived = ReturnType<typeof derivedFrom>

/** The environment, validated. `apiPath` and `authPath` are prefixes: the root is the empty string. */
export interface Config extends Omit<Values, keyof Derived>, Derived {}

/** The configuration that some values of settings make. */
export const configOf = (values: Values): Config => ({ ...values, ...derivedFrom(values) })

/** Sanctum's default. */
const LOCAL_FIRST_PARTIES = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']

/**
 * The first parties unless SANCTUM_STATEFUL_DOMAINS is set: pages on this machine, for a server on this machine, which
 * has several names. For any other server there are none: installed programs can serve pages from localhost, too.
 */
const localFirstParties = (appUrl: URL): string[] =>
  isLoopback(appUrl)
    ? [...new Set([...LOCAL_FIRST_PARTIES, `127.0.0.1:${appUrl.port}`, `localhost:${appUrl.port}`])]
    : []

function derivedFrom(values: Values) {
  const appEnv = values.appEnv ?? (values.databaseUrl === null ? 'local' : 'production')
  const appUrl = values.appUrl ?? new URL(`http://${urlHost(values.host)}:${values.port}`)
  const frontendUrl = values.frontendUrl ?? (appEnv === 'local' ? new URL('http://localhost:3000') : appUrl)
  return {
    appEnv,
    appUrl,
    frontendUrl,
    loginUrl: values.loginUrl ?? pageOf(frontendUrl, 'login'),
    resetPasswordUrl: values.resetPasswordUrl ?? pageOf(frontendUrl, 'reset-password'),
    changePasswordUrl: values.changePasswordUrl ?? new URL(CHANGE_PASSWORD_PATH, appUrl),
    statefulDomains: values.statefulDomains ?? Object.freeze(localFirstParties(appUrl)),
    sessionSecure: values.sessionSecure ?? appUrl.protocol === 'https:',
  }
}

/** A page below an address. */
function pageOf(site: URL, page: string) {
  const address = new URL(site)
  address.pathname = `${site.pathname.replace(/\/$/, '')}/${page}`
  return address
}

/** The addresses that `localhost` reaches: cookies go by names, and pages on this machine use that one. */
const LOCALHOST = ['127.0.0.1', '::1', '0.0.0.0', '::']

/** The host name of APP_URL, by the address to listen on. */
function urlHost(host: string) {
  if (LOCALHOST.includes(host)) return 'localhost'
  return isIP(host) === 6 ? `[${host}]` : host
}
