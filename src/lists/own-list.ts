import type { FastifyInstance, FastifyRequest } from 'fastify'
import { user as userResource } from '#src/api/resources.ts'
import type { User } from '#src/auth/identity.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import { render } from '#src/query/render.ts'
import { type Endpoint, relationAt, type TableName } from '#src/query/resource.ts'
import { belongingTo, type ScopeOf } from '#src/query/scope.ts'
import { notFound } from '#src/responses/errors.ts'
import { pageHandler } from './handlers.ts'

/** Which rows are a user's. */
export type RowsOf<Table extends TableName> = (user: User) => ScopeOf<Table>

/** A user's tokens, under whichever class name that means a user. */
export const tokensOf: RowsOf<'personal_access_tokens'> = ({ id }) =>
  belongingTo(relationAt(userResource, ['tokens']), id)

/** A user's notifications, under whichever class name that means a user. */
export const notificationsOf: RowsOf<'notifications'> = ({ id }) =>
  belongingTo(relationAt(userResource, ['notifications']), id)

/** Makes the handler of a route that lists what the authenticated user has. */
export function ownList<Table extends TableName>(
  app: FastifyInstance,
  endpoint: Endpoint<Table>,
  rowsOf: RowsOf<Table>,
) {
  const list = pageHandler(app, endpoint)
  return (request: FastifyRequest) => list(request, () => rowsOf(request.user()))
}

/**
 * Makes the function that renders one row of what the authenticated user has, as a query asks for it. It throws 404 when
 * there is no such row.
 */
export function ownRow<Table extends TableName>(
  { config, database }: Pick<FastifyInstance, 'config' | 'database'>,
  endpoint: Endpoint<Table>,
  rowsOf: RowsOf<Table>,
) {
  const { resource } = endpoint
  const finder = createFinder(config)
  const byDefault = queryParser(endpoint)('')
  return async (request: FastifyRequest, id: number, query = byDefault) => {
    const found = await finder.one(database.kysely, resource, rowsOf(request.user()), id, query)
    if (found === null) throw notFound()
    return render(resource, found, query)
  }
}
