import type { FastifyInstance, FastifyRequest } from 'fastify'
import { user } from '#src/api/resources.ts'
import type { Identity } from '#src/auth/identity.ts'
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
