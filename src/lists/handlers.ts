import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import { findRefusal } from '#src/auth/permission.ts'
import { basePath } from '#src/config/public-url.ts'
import type { ListCaller } from '#src/database/connect.ts'
import type { StatementRunner } from '#src/database/statement-runner.ts'
import { queryStringOf } from '#src/input/querystring.ts'
import { estimateCost, isHeavy, requireAffordable } from '#src/query/cost.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import type { Query } from '#src/query/query.ts'
import { pageRenderer, renderRow } from '#src/query/render.ts'
import { type Endpoint, includeGuards, type TableName } from '#src/query/resource.ts'
import type { ScopeOf } from '#src/query/scope.ts'
import { forbidden, HttpError, notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'
import { lazy } from '#src/runtime/lazy.ts'

/**
 * Makes the function that returns the base of a response's links: the host of the request, with APP_URL's scheme and
 * path. It throws 400 for an unknown host.
 */
function linkOrigins({ appUrl }: FastifyInstance['config']) {
  // Most requests have the same host as the one before.
  let lastHost: string | undefined
  let lastOrigin = ''
  return ({ host = '', server: { gate } }: FastifyRequest): string => {
    if (host === lastHost) return lastOrigin
    const origin = `${appUrl.protocol}//${host.toLowerCase().replace(/:$/, '')}`
    if (!gate.isLinkHost(host) || !URL.canParse(origin)) throw new HttpError(400, MESSAGES.unknownHost)
    lastOrigin = origin + basePath(appUrl)
    lastHost = host
    return lastOrigin
  }
}

type Server = Pick<FastifyInstance, 'config' | 'database'>

/** Returns the key of a request's caller in bulkheads: the user or the address; null for trusted machines. */
export function callerKey({ identity, clientAddress }: FastifyRequest): string | null {
  if (identity !== null) return `user ${identity.user.id}`
  return clientAddress.isLocal ? null : clientAddress.key
}

/** Makes the signal that aborts on client disconnect. */
export const disconnectSignal = (request: FastifyRequest) => (): AbortSignal =>
  request.raw.socket.destroyed ? AbortSignal.abort() : request.signal

/**
 * Requires the access of a query's includes.
 *
 * @throws {HttpError} 401 or 403
 */
function requireIncludeAccess({ resource }: Endpoint, request: FastifyRequest, { includes }: Query): void {
  for (const { ability, permission } of includeGuards(resource, includes)) {
    if (request.identity === null) throw unauthenticated()
    request.requireAbility(ability)
    if (permission !== null && findRefusal(request.identity, permission) === 'prohibited') {
      throw forbidden(MESSAGES.prohibited)
    }
  }
}

/**
 * Authorizes a list query, and returns its caller for the list connections.
 *
 * @throws {HttpError} 401 or 403 when an include is not allowed, 422 when the query costs too much
 */
export function authorizeList(
  endpoint: Endpoint,
  request: FastifyRequest,
  query: Query,
  cost = estimateCost(endpoint, query),
): ListCaller {
  if (query.includes.size > 0) requireIncludeAccess(endpoint, request, query)
  requireAffordable(cost, request.identity === null ? 'guest' : 'user')
  return { caller: callerKey(request), isHeavy: isHeavy(cost), signal: disconnectSignal(request) }
}

/** How many queries of an endpoint stay prepared, and how long their query strings may be: clients choose them. */
const PREPARED = { queries: 50, length: 200 } as const

/**
 * Makes the function that responds with a page of an endpoint's list within a scope. It throws 422 for an invalid
 * query, or one that costs too much.
 */
export function pageHandler<Table extends TableName>(
  { config, database }: Server,
  endpoint: Endpoint<Table>,
) {
  const parse = queryParser(endpoint)
  const finder = createFinder(config)
  const linkOrigin = linkOrigins(config)
  const prepare = (search: string) => {
    const query = parse(`?${search}`)
    return {
      query,
      cost: estimateCost(endpoint, query),
      findPage: finder.preparePage(endpoint, query),
      renderPage: pageRenderer(endpoint, query, search),
    }
  }
  const prepared = lazy(() => new LRUCache<string, ReturnType<typeof prepare>>({ max: PREPARED.queries }))
  const preparedFor = (search: string) => {
    if (search.length > PREPARED.length) return prepare(search)
    const known = prepared().get(search)
    if (known !== undefined) return known
    const added = prepare(search)
    prepared().set(search, added)
    return added
  }
  return async (request: FastifyRequest, scopeFor: (query: Query) => ScopeOf<Table>) => {
    const { url } = request
    const origin = linkOrigin(request)
    const { query, cost, findPage, renderPage } = preparedFor(queryStringOf(url))
    const page = await database.listStatements(authorizeList(endpoint, request, query, cost), db =>
      findPage(db, scopeFor(query)),
    )
    return renderPage(page, { origin, url })
  }
}

/**
 * Makes the function that responds with the row with a key within a scope: as the request's query says, or with default
 * fields after a write. It throws 422 for an invalid query, or one that costs too much, and 404 when there is no such
 * row.
 */
export function rowHandler<Table extends TableName>({ config, database }: Server, endpoint: Endpoint<Table>) {
  const { resource } = endpoint
  const parse = queryParser(endpoint)
  const finder = createFinder(config)
  return async (scope: ScopeOf<Table>, key: number, request?: FastifyRequest) => {
    const query = parse(request?.url ?? '')
    const select = (db: StatementRunner) => finder.one(db, resource, scope, key, query)
    // The response to a write does not wait for a list connection.
    const found = await (request === undefined || query.includes.size === 0
      ? select(database.kysely)
      : database.listStatements(authorizeList(endpoint, request, query), select))
    if (found === null) throw notFound()
    return { [resource.type]: renderRow(resource, found, query) }
  }
}
