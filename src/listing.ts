import type { FastifyInstance, FastifyRequest } from 'fastify'
import { notFound } from './api/errors.ts'
import { queryParser } from './api/query/parse.ts'
import type { Query } from './api/query/query.ts'
import { render, renderPage } from './api/query/render.ts'
import type { Endpoint } from './api/query/resource.ts'
import { type Scope, selecting, selectOne, selectPage } from './database/select.ts'

type Server = Pick<FastifyInstance, 'config' | 'database'>

/**
 * Makes the function that answers with a page of an endpoint's list: of the rows in a scope, as the request's query
 * asks for them. It throws 422 for a query that is not valid.
 */
export function listing({ config, database }: Server, endpoint: Endpoint) {
  const parse = queryParser(endpoint)
  const selection = selecting(config)
  return async (request: FastifyRequest, scopeFor: (query: Query) => Scope) => {
    const query = parse(request.url)
    const page = await selectPage(database.kysely, endpoint, scopeFor(query), selection(query))
    return renderPage(endpoint, query, page, request)
  }
}

/**
 * Makes the function that shows the row with a key, if it is in a scope: as the query of a URL asks for it, or with
 * its default fields. It throws 422 for a query that is not valid, and 404 when there is no such row.
 */
export function showing({ config, database }: Server, endpoint: Endpoint) {
  const { resource } = endpoint
  const parse = queryParser(endpoint)
  const selection = selecting(config)
  return async (scope: Scope, key: number, url = '') => {
    const query = parse(url)
    const found = await selectOne(database.kysely, resource, scope, key, selection(query))
    if (found === null) throw notFound()
    return { [resource.type]: render(resource, found, query) }
  }
}
