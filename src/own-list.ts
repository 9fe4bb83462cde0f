import type { FastifyInstance, FastifyRequest } from 'fastify'
import { queryParser } from './api/query/parse.ts'
import { renderPage } from './api/query/render.ts'
import { type Endpoint, relationAt } from './api/query/resource.ts'
import { user } from './api/resources/user.ts'
import type { Identity } from './auth/identity.ts'
import { belongingTo, selecting, selectPage } from './database/select.ts'

/** Makes the handler of a route that lists what the authenticated user has under the name of a relation. */
export function ownList({ config, database }: FastifyInstance, endpoint: Endpoint, name: string) {
  const parse = queryParser(endpoint)
  const relation = relationAt(user, [name])
  const selection = selecting(config)

  return async (request: FastifyRequest) => {
    const query = parse(request.url)
    const { id } = (request.identity as Identity).user
    const page = await selectPage(database.kysely, endpoint, belongingTo(relation, id), selection(query))
    return renderPage(endpoint, query, page, request)
  }
}
