import type { FastifyInstance, FastifyRequest } from 'fastify'
import { notFound } from '#src/answers/errors.ts'
import { user } from '#src/api/resources.ts'
import type { Identity } from '#src/auth/identity.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import { render } from '#src/query/render.ts'
import { type Endpoint, relationAt, type TableName } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'
import { listing } from './listing.ts'

/** Makes the handler of a route that lists what the authenticated user has under the name of a relation. */
export function ownList<Table extends TableName>(
  app: FastifyInstance,
  endpoint: Endpoint<Table>,
  name: string,
) {
  const list = listing(app, endpoint)
  const relation = relationAt(user, [name])
  return (request: FastifyRequest) =>
    list(request, () => belongingTo(relation, (request.identity as Identity).user.id))
}

/**
 * Makes the function that renders one row of what the authenticated user has under the name of a relation, as a query
 * asks for it. It throws 404 when there is no such row.
 */
export function ownRow<Table extends TableName>(
  { config, database }: Pick<FastifyInstance, 'config' | 'database'>,
  endpoint: Endpoint<Table>,
  name: string,
) {
  const { resource } = endpoint
  const relation = relationAt(user, [name])
  const finder = createFinder(config)
  const byDefault = queryParser(endpoint)('')
  return async (request: FastifyRequest, id: number, query = byDefault) => {
    const own = belongingTo(relation, request.user().id)
    const found = await finder.one(database.kysely, resource, own, id, query)
    if (found === null) throw notFound()
    return render(resource, found, query)
  }
}
