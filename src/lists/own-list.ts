import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { User } from '#src/auth/identity.ts'
import type { Endpoint, TableName } from '#src/query/resource.ts'
import type { ScopeOf } from '#src/query/scope.ts'
import { listing } from './listing.ts'

/**
 * Makes the handler of a route that lists what the authenticated user has.
 *
 * @param rowsOf which rows are a user's
 */
export function ownList<Table extends TableName>(
  app: FastifyInstance,
  endpoint: Endpoint<Table>,
  rowsOf: (user: User) => ScopeOf<Table>,
) {
  const list = listing(app, endpoint)
  return (request: FastifyRequest) => list(request, () => rowsOf(request.user()))
}
