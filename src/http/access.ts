import type { RouteOptions } from 'fastify'
import { type Ability, allows } from '#src/auth/ability.ts'
import type { Identity } from '#src/auth/identity.ts'
import { bypassesFeatureFlags, type Refusal, refusal } from '#src/auth/permission.ts'
import type { RowLoader } from '#src/auth/row-loader.ts'
import { owesSecondFactor } from '#src/auth/second-factor.ts'
import { hasConfirmedPassword } from '#src/auth/session.ts'
import type { Config } from '#src/config/config.ts'
import type { Feature } from '#src/database/features.ts'
import type { ClientAddress } from '#src/limits/client-address.ts'
import { type Quota, quotaExceeded } from '#src/limits/quota.ts'
import {
  forbidden,
  notFound,
  passwordConfirmationRequired,
  SecondFactorRequired,
  unauthenticated,
} from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { keepRow } from './loaded-row.ts'

/** Who may call a route. */
export interface Access {
  /** Whether somebody must be known to call, may be, must not have logged in, or does not matter. */
  auth: 'required' | 'optional' | 'guest' | 'none'
  /** The one way in which a caller is recognised here; both ways unless it is given. */
  via?: 'session' | 'token'
  /** The permission that whoever is known must hold, or all of several. Judged after the row, if one is loaded. */
  permission?: string | readonly string[]
  /** What a token must allow; a session allows everything. */
  ability?: Ability
  /**
   * That a session's user must have confirmed the password within the last three hours, or that the form brings it
   * along as `current_password` if not.
   */
  password?: 'confirmed' | 'confirmed or entered'
  /** That the route is open to users who are banned from everything as well. */
  whileBanned?: true
  /** That the route is open as well to users who have to set up a second factor first. */
  beforeSecondFactor?: true
  /**
   * How the row that the path names is loaded and judged; the handler gets it by `rowOf(request)`. What is missing is 404
   * for everybody, before the permission is judged. Routes of the API whose path has a parameter must say it.
   *
   * `'own'`: there is nothing to judge, since the use-case looks for the row among those of the caller alone, in the
   * statement or under the lock that it needs anyway. The permission is judged with the head of the request then.
   */
  load?: RowLoader | 'own'
  /** That only our own machines may call, whoever asks. */
  localOnly?: boolean
  /** The feature that must not be turned off for everybody. */
  feature?: Feature
  /** How many rows there may be before another is added, on routes that require a caller. */
  quota?: Quota<never>
}

/** A request, as far as it matters whether its route lets it. */
export interface Asking {
  readonly identity: Identity | null
  readonly clientAddress: ClientAddress
  readonly params: unknown
  readonly routeConfig: { readonly access?: Access }
}

/** Judges requests by what their routes declare. Each step throws for a request that is refused. */
export interface AccessGuard {
  /**
   * Judges by the head of the request: who calls, ban and second factor, ability, permission, password. Asked again after
   * every wait, since the caller may have lost any of them meanwhile.
   *
   * @throws {HttpError} 401, 403 or 423
   */
  requireAccess(request: Asking): void
  /**
   * Loads the row that the path names, and judges it with what else comes before the input: permission, owner and
   * visibility, own machines, feature, quota, in this order.
   *
   * @throws {HttpError} 404 or 403
   */
  requireRow(request: Asking): Promise<void>
  /**
   * Lets only those go on who are neither banned from everything nor have to set up a second factor first, unless that is
   * open to them.
   *
   * @throws {HttpError} 403
   */
  requireStanding(identity: Identity | null, open?: Pick<Access, 'whileBanned' | 'beforeSecondFactor'>): void
  /**
   * Lets only those go on whose token allows something, unless TOKEN_ABILITIES is off.
   *
   * @throws {HttpError} 403
   */
  requireAbility(identity: Identity | null, ability: Ability): void
  /** Whether the user of a session has not confirmed the password lately. A token owes none. */
  owesPassword(identity: Identity | null): boolean
}

/** Makes the guard. */
export function accessGuard({
  config,
  clock,
  isFeatureOn,
}: {
  config: Pick<Config, 'requireSecondFactor' | 'tokenAbilities'>
  /** Milliseconds since the epoch. */
  clock: () => number
  isFeatureOn: (feature: Feature) => Promise<boolean>
}): AccessGuard {
  const guard: AccessGuard = {
    requireAccess(request) {
      const access = accessOf(request)
      const { auth, ability, permission, password } = access
      const { identity } = request
      if (identity === null) {
        if (auth === 'required') throw unauthenticated()
        return
      }
      if (auth !== 'none') guard.requireStanding(identity, access)
      if (ability !== undefined) guard.requireAbility(identity, ability)
      if (permission !== undefined && loaderOf(access) === null) requirePermission(request)
      if (password === 'confirmed' && guard.owesPassword(identity)) throw passwordConfirmationRequired()
    },
    async requireRow(request) {
      const access = accessOf(request)
      const loader = loaderOf(access)
      const row = loader === null ? undefined : await loadRow(loader, request)
      requireLocal(request)
      const { identity } = request
      const { feature, quota } = access
      const isExempt = identity !== null && bypassesFeatureFlags(identity)
      if (feature !== undefined && !isExempt && !(await isFeatureOn(feature))) throw forbidden()
      if (
        quota !== undefined &&
        !isExempt &&
        (await quota.count(identity as Identity, row as never)) >= quota.most
      ) {
        throw quotaExceeded(quota)
      }
      if (loader !== null) keepRow(request, row)
    },
    requireStanding(identity, open = {}) {
      if (identity === null) return
      if (identity.ban !== null && !open.whileBanned) throw forbidden(MESSAGES.banned(identity.ban))
      if (owesSecondFactor(identity, config.requireSecondFactor) && !open.beforeSecondFactor) {
        throw new SecondFactorRequired()
      }
    },
    requireAbility(identity, ability) {
      if (!config.tokenAbilities || identity?.via !== 'token') return
      if (!allows(identity.token.abilities, ability)) throw forbidden(MESSAGES.invalidAbility)
    },
    owesPassword: identity => identity?.via === 'session' && !hasConfirmedPassword(identity.session, clock()),
  }
  return guard
}

const accessOf = ({ routeConfig }: Asking) => routeConfig.access as Access

const loaderOf = ({ load }: Access): RowLoader | null => (load === undefined || load === 'own' ? null : load)

/** The row that a request's path names. @throws {HttpError} 404, or 403 for whoever may not use it */
async function loadRow(loader: RowLoader, request: Asking): Promise<unknown> {
  if (loader.hidesRows) {
    requirePermission(request)
    requireLocal(request)
  }
  const { params, identity } = request
  const row = await loader.find(params as never, identity, refusalOf(request) === null)
  if (row === null) throw notFound()
  requirePermission(request)
  if (!loader.allows(row as never, identity)) throw forbidden()
  return row
}

function requireLocal({ clientAddress, routeConfig }: Asking) {
  if (routeConfig.access?.localOnly && !clientAddress.isLocal) throw forbidden(MESSAGES.localOnly)
}

function requirePermission(request: Asking) {
  const reason = refusalOf(request)
  if (reason !== null) throw forbidden(reason === 'prohibited' ? MESSAGES.prohibited : undefined)
}

/** Why whoever is known may not do what the route's permission names; null when nothing is in the way. */
function refusalOf({ identity, routeConfig }: Asking): Refusal | null {
  if (identity === null) return null
  for (const permission of [routeConfig.access?.permission ?? []].flat()) {
    const reason = refusal(identity, permission)
    if (reason !== null) return reason
  }
  return null
}

/** All that {@link Access} can say. */
const KEYS: Readonly<Record<keyof Access, true>> = {
  auth: true,
  via: true,
  permission: true,
  ability: true,
  password: true,
  whileBanned: true,
  beforeSecondFactor: true,
  load: true,
  localOnly: true,
  feature: true,
  quota: true,
}

/**
 * Refuses routes that do not say who may call them, or how the row that their path names is loaded; and what is misspelt,
 * which compiles, since Fastify lets a route's config have more than is declared.
 *
 * @throws {Error} that keeps the server from starting
 */
export function requireDeclared(routes: readonly RouteOptions[]): void {
  for (const { method, url, config: { access, isApi } = {} } of routes) {
    if (access === undefined) {
      throw new Error(`The route ${method} ${url} does not say who may call it: give it config.access.`)
    }
    const unknown = Object.keys(access).find(key => !(key in KEYS))
    if (unknown !== undefined) throw new Error(`The route ${method} ${url} has an unknown access.${unknown}.`)
    if (isApi && url.includes(':') && access.load === undefined) {
      throw new Error(
        `The route ${method} ${url} does not say how the row that its path names is loaded: give it config.access.load.`,
      )
    }
  }
}

/** The phase in which {@link AccessGuard.requireRow} runs for a route; null for one that declares nothing to judge there. */
export function rowPhase(access: Access | undefined): 'authorize' | 'preHandler' | null {
  if (access === undefined) return null
  const loader = loaderOf(access)
  if (loader?.isWrite) return 'preHandler'
  const { localOnly, feature, quota } = access
  return loader !== null || localOnly || feature !== undefined || quota !== undefined ? 'authorize' : null
}
