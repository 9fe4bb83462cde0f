import type { FastifyInstance, FastifyRequest } from 'fastify'
import { user } from '#src/api/resources/user.ts'
import type { Identity } from '#src/auth/identity.ts'
import { belongingTo } from '#src/database/select.ts'
import { type Endpoint, relationAt } from '#src/query/resource.ts'
import { listing } from './listing.ts'

/** Makes the handler of a route that lists what the authenticated user has under the name of a relation. */
export function ownList(app: FastifyInstance, endpoint: Endpoint, name: string) {
  const list = listing(app, endpoint)
  const relation = relationAt(user, [name])
  return (request: FastifyRequest) =>
    list(request, () => belongingTo(relation, (request.identity as Identity).user.id))
}
