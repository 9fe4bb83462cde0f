import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refusal } from '#src/auth/permission.ts'
import type { ListAsker } from '#src/database/connect.ts'
import { costOf, isHeavy, requireAffordable } from '#src/query/cost.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import type { Query } from '#src/query/query.ts'
import { render, renderPage } from '#src/query/render.ts'
import { type Endpoint, includeGuards, type TableName } from '#src/query/resource.ts'
import type { ScopeOf } from '#src/query/scope.ts'
import { forbidden, HttpError, notFound, unauthenticated } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

/**
 * The origin that links of an answer are built on: the host that the request names, with APP_URL's scheme.
 *
 * @throws {HttpError} 400 for a host that is not ours
 */
function linkOrigin({ host = '', server: { config, gate } }: FastifyRequest): string {
  const origin = `${config.appUrl.protocol}//${host.toLowerCase().replace(/:$/, '')}`
  if (!gate.isLinked(host) || !URL.canParse(origin)) throw new HttpError(400, MESSAGES.unknownHost)
  return origin
}

type Server = Pick<FastifyInstance, 'config' | 'database'>

/** Whose share of what is bounded for each caller a request takes: a user's or an address's; null for our own machines. */
export function callerOf({ identity, clientAddress }: FastifyRequest): string | null {
  if (identity !== null) return `user ${identity.user.id}`
  return clientAddress.isLocal ? null : clientAddress.key
}

/** Makes the signal that aborts when the client hangs up, or has done so already. */
export const disconnectSignal = (request: FastifyRequest) => (): AbortSignal =>
  request.raw.socket.destroyed ? AbortSignal.abort() : request.signal

/**
 * Lets only those go on who may see what a query includes.
 *
 * @throws {HttpError} 401 or 403
 */
function requireIncludes({ resource }: Endpoint, request: FastifyRequest, { includes }: Query): void {
  for (const { ability, permission } of includeGuards(resource, includes)) {
    if (request.identity === null) throw unauthenticated()
    request.requireAbility(ability)
    if (permission !== null && refusal(request.identity, permission) === 'prohibited') {
      throw forbidden(MESSAGES.prohibited)
    }
  }
}

/**
 * For whom a list is put together, once what it includes is known to be allowed and all of it to be affordable.
 *
 * @throws {HttpError} 401 or 403 when something is included that the caller may not see, 422 when the question costs too
 *   much
 */
export function listAsker(endpoint: Endpoint, request: FastifyRequest, query: Query): ListAsker {
  requireIncludes(endpoint, request, query)
  const cost = costOf(endpoint, query)
  requireAffordable(cost, request.identity === null ? 'guest' : 'user')
  return { caller: callerOf(request), isHeavy: isHeavy(cost), signal: disconnectSignal(request) }
}

/**
 * Makes the function that answers with a page of an endpoint's list: of the rows in a scope, as the request's query
 * asks for them. It throws 422 for a query that is not valid, or costs too much.
 */
export function pageHandler<Table extends TableName>(
  { config, database }: Server,
  endpoint: Endpoint<Table>,
) {
  const parse = queryParser(endpoint)
  const finder = createFinder(config)
  return async (request: FastifyRequest, scopeFor: (query: Query) => ScopeOf<Table>) => {
    const origin = linkOrigin(request)
    const query = parse(request.url)
    const page = await database.list(listAsker(endpoint, request, query), db =>
      finder.page(db, endpoint, scopeFor(query), query),
    )
    return renderPage(endpoint, query, page, { origin, url: request.url })
  }
}

/**
 * Makes the function that shows the row with a key, if it is in a scope: as a request's query asks for it, or with its
 * default fields, for a request that has written it. It throws 422 for a query that is not valid, or costs too much,
 * and 404 when there is no such row.
 */
export function rowHandler<Table extends TableName>({ config, database }: Server, endpoint: Endpoint<Table>) {
  const { resource } = endpoint
  const parse = queryParser(endpoint)
  const finder = createFinder(config)
  return async (scope: ScopeOf<Table>, key: number, request?: FastifyRequest) => {
    const query = parse(request?.url ?? '')
    const select = (db: typeof database.kysely) => finder.one(db, resource, scope, key, query)
    // What was written is shown, however many lists there are.
    const found = await (request === undefined || query.includes.size === 0
      ? select(database.kysely)
      : database.list(listAsker(endpoint, request, query), select))
    if (found === null) throw notFound()
    return { [resource.type]: render(resource, found, query) }
  }
}
