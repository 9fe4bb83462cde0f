import type { RouteOptions } from 'fastify'
import { type Ability, allows } from '#src/auth/ability.ts'
import type { Identity } from '#src/auth/identity.ts'
import { bypassesFeatureFlags, findRefusal, type Refusal } from '#src/auth/permission.ts'
import type { RowLoader } from '#src/auth/row-loader.ts'
import { lacksRequiredSecondFactor } from '#src/auth/second-factor.ts'
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
import type { EpochMillis } from '#src/runtime/units.ts'
import { attachRow } from './loaded-row.ts'

/** The callers that a route accepts. */
export interface Access {
  /**
   * `required`: only authenticated callers. `optional`: guests too. `guest`: only guests. `none`: the route ignores
   * credentials.
   */
  auth: 'required' | 'optional' | 'guest' | 'none'
  /** The only credential that the route accepts. Both by default. */
  via?: 'session' | 'token'
  /** The permissions that an authenticated caller must have, all of them. Checked after the row is loaded, if one is. */
  permission?: string | readonly string[]
  /** The abilities that a token must have, all of them. A session has all abilities. */
  ability?: Ability | readonly Ability[]
  /**
   * `confirmed`: the user of a session must have confirmed the password within the last three hours. `confirmed or
   * entered`: the form may contain it as `current_password` instead.
   */
  password?: 'confirmed' | 'confirmed or entered'
  /** Whether users who are banned from everything may call the route. */
  whileBanned?: true
  /** Whether users who must set up a second factor first may call the route. */
  beforeSecondFactor?: true
  /**
   * Loads and authorizes the row that the path names; the handler gets it by `rowOf(request)`. A missing row is 404 for
   * every caller, before the permission is checked. Required for routes of the API whose path has a parameter.
   *
   * `'own'`: the use-case itself searches only rows of the caller, in the statement or under the lock that it needs
   * anyway. The permission is then checked in `onRequest`.
   */
  load?: RowLoader | 'own'
  /** Whether only clients with an address in LOCAL_IPS may call the route. */
  localOnly?: boolean
  /** The feature flag that must be on. */
  feature?: Feature
  /** Limits how many rows a user may have. Only for routes with `auth: 'required'`. */
  quota?: Quota<never>
}

/** The parts of a request that access checks read. */
export interface GuardedRequest {
  readonly identity: Identity | null
  readonly clientAddress: ClientAddress
  readonly params: unknown
  readonly routeConfig: { readonly access?: Access }
}

/** Checks requests against the {@link Access} of their routes. Each method throws for a request that is refused. */
export interface AccessGuard {
  /**
   * Checks identity, ban, second factor, ability, permission and password confirmation, in this order. Must be called
   * again after every wait, since any of them may have been revoked in the meantime.
   *
   * @throws {HttpError} 401, 403 or 423
   */
  requireAccess(request: GuardedRequest): void
  /**
   * Loads the row that the path names, and checks permission, owner and visibility, local address, feature flag and
   * quota, in this order. Runs before the input is validated.
   *
   * @throws {HttpError} 404 or 403
   */
  requireRow(request: GuardedRequest): Promise<void>
  /**
   * Refuses users who are banned from everything or must set up a second factor first, unless the route is open to them.
   *
   * @throws {HttpError} 403
   */
  requireUnrestricted(
    identity: Identity | null,
    open?: Pick<Access, 'whileBanned' | 'beforeSecondFactor'>,
  ): void
  /**
   * Refuses tokens without an ability, unless TOKEN_ABILITIES is off.
   *
   * @throws {HttpError} 403
   */
  requireAbility(identity: Identity | null, ability: Ability): void
  /** Whether the caller must confirm the password first. Always false for tokens. */
  owesPassword(identity: Identity | null): boolean
}

/** Creates the {@link AccessGuard} of a server. */
export function createAccessGuard({
  config,
  clock,
  isFeatureOn,
}: {
  config: Pick<Config, 'requireSecondFactor' | 'tokenAbilities'>
  clock: () => EpochMillis
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
      if (auth !== 'none') guard.requireUnrestricted(identity, access)
      for (const needed of [ability ?? []].flat()) guard.requireAbility(identity, needed)
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
        (await quota.count(identity as Identity, row as never)) >= quota.max
      ) {
        throw quotaExceeded(quota)
      }
      if (loader !== null) attachRow(request, row)
    },
    requireUnrestricted(identity, open = {}) {
      if (identity === null) return
      if (identity.ban !== null && !open.whileBanned) throw forbidden(MESSAGES.banned(identity.ban))
      if (lacksRequiredSecondFactor(identity, config.requireSecondFactor) && !open.beforeSecondFactor) {
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

const accessOf = ({ routeConfig }: GuardedRequest) => routeConfig.access as Access

const loaderOf = ({ load }: Access): RowLoader | null => (load === undefined || load === 'own' ? null : load)

/** Returns the row that a request's path names. @throws {HttpError} 404, or 403 if the caller may not use it */
async function loadRow(loader: RowLoader, request: GuardedRequest): Promise<unknown> {
  if (loader.hidesRows) {
    requirePermission(request)
    requireLocal(request)
  }
  const { params, identity } = request
  const row = await loader.find(params as never, identity, permissionRefusal(request) === null)
  if (row === null) throw notFound()
  requirePermission(request)
  if (!loader.allows(row as never, identity)) throw forbidden()
  return row
}

function requireLocal({ clientAddress, routeConfig }: GuardedRequest) {
  if (routeConfig.access?.localOnly && !clientAddress.isLocal) throw forbidden(MESSAGES.localOnly)
}

function requirePermission(request: GuardedRequest) {
  const reason = permissionRefusal(request)
  if (reason !== null) throw forbidden(reason === 'prohibited' ? MESSAGES.prohibited : undefined)
}

/** Returns why the caller lacks the route's permission. Null if the caller has it, and for guests. */
function permissionRefusal({ identity, routeConfig }: GuardedRequest): Refusal | null {
  if (identity === null) return null
  for (const permission of [routeConfig.access?.permission ?? []].flat()) {
    const reason = findRefusal(identity, permission)
    if (reason !== null) return reason
  }
  return null
}

/** The keys of {@link Access}, to detect misspelt ones. */
const ACCESS_KEYS: Readonly<Record<keyof Access, true>> = {
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
 * Requires every route to declare its access, and how the row of its path is loaded. Also rejects misspelt keys: they
 * compile, since Fastify allows unknown keys in a route's config.
 *
 * @throws {Error} so that the server does not start
 */
export function requireDeclaredAccess(routes: readonly RouteOptions[]): void {
  for (const { method, url, config: { access, isApi } = {} } of routes) {
    if (access === undefined) {
      throw new Error(`The route ${method} ${url} does not declare its access: add config.access.`)
    }
    const unknown = Object.keys(access).find(key => !(key in ACCESS_KEYS))
    if (unknown !== undefined) throw new Error(`The route ${method} ${url} has an unknown access.${unknown}.`)
    if (isApi && url.includes(':') && access.load === undefined) {
      throw new Error(
        `The route ${method} ${url} does not declare how the row of its path is loaded: add config.access.load.`,
      )
    }
  }
}

/** Returns the phase in which {@link AccessGuard.requireRow} runs for a route. Null if the route needs none of its checks. */
export function rowPhase(access: Access | undefined): 'authorize' | 'preHandler' | null {
  if (access === undefined) return null
  const loader = loaderOf(access)
  if (loader?.isWrite) return 'preHandler'
  const { localOnly, feature, quota } = access
  return loader !== null || localOnly || feature !== undefined || quota !== undefined ? 'authorize' : null
}
