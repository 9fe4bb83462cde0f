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

/**
 * Sanctum's default. A page on a developer's own machine is a first party of a server there, and of no other: programs
 * that somebody has installed can serve pages from localhost as well.
 */
const LOCAL_FIRST_PARTIES = ['localhost', 'localhost:3000', '127.0.0.1', '127.0.0.1:8000', '::1']

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
    statefulDomains: values.statefulDomains ?? Object.freeze(isLoopback(appUrl) ? LOCAL_FIRST_PARTIES : []),
    sessionSecure: values.sessionSecure ?? appUrl.protocol === 'https:',
  }
}

/** A page below an address. */
function pageOf(site: URL, page: string) {
  const address = new URL(site)
  address.pathname = `${site.pathname.replace(/\/$/, '')}/${page}`
  return address
}

/** A host as it stands in a URL. A wildcard address is nobody's address: the local name stands in. */
function urlHost(host: string) {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIP(host) === 6 ? `[${host}]` : host
}
