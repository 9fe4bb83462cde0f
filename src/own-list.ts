import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Endpoint, relationAt } from './api/query/resource.ts'
import { user } from './api/resources/user.ts'
import type { Identity } from './auth/identity.ts'
import { belongingTo } from './database/select.ts'
import { listing } from './listing.ts'

/** Makes the handler of a route that lists what the authenticated user has under the name of a relation. */
export function ownList(app: FastifyInstance, endpoint: Endpoint, name: string) {
  const list = listing(app, endpoint)
  const relation = relationAt(user, [name])
  return (request: FastifyRequest) =>
    list(request, () => belongingTo(relation, (request.identity as Identity).user.id))
}
