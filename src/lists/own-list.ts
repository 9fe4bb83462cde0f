import type { FastifyInstance, FastifyRequest } from 'fastify'
import { user as userResource } from '#src/api/resources.ts'
import type { User } from '#src/auth/identity.ts'
import { createFinder } from '#src/query/find.ts'
import { queryParser } from '#src/query/parse.ts'
import { renderRow } from '#src/query/render.ts'
import { type Endpoint, relationAt, type TableName } from '#src/query/resource.ts'
import { belongingTo, type ScopeOf } from '#src/query/scope.ts'
import { notFound } from '#src/responses/errors.ts'
import { pageHandler } from './handlers.ts'

/** Returns the scope of a user's own rows. */
export type UserScope<Table extends TableName> = (user: User) => ScopeOf<Table>

/** The scope of a user's tokens, with any of the class names of users. */
export const tokensScope: UserScope<'personal_access_tokens'> = ({ id }) =>
  belongingTo(relationAt(userResource, ['tokens']), id)

/** The scope of a user's notifications, with any of the class names of users. */
export const notificationsScope: UserScope<'notifications'> = ({ id }) =>
  belongingTo(relationAt(userResource, ['notifications']), id)

/** Makes the handler that lists the authenticated user's rows. */
export function ownPageHandler<Table extends TableName>(
  app: FastifyInstance,
  endpoint: Endpoint<Table>,
  scopeOf: UserScope<Table>,
) {
  const list = pageHandler(app, endpoint)
  return (request: FastifyRequest) => list(request, () => scopeOf(request.user()))
}

/** Makes the function that renders one of the authenticated user's rows. It throws 404 when there is no such row. */
export function ownRowRenderer<Table extends TableName>(
  { config, database }: Pick<FastifyInstance, 'config' | 'database'>,
  endpoint: Endpoint<Table>,
  scopeOf: UserScope<Table>,
) {
  const { resource } = endpoint
  const finder = createFinder(config)
  const byDefault = queryParser(endpoint)('')
  return async (request: FastifyRequest, id: number, query = byDefault) => {
    const found = await finder.one(database.kysely, resource, scopeOf(request.user()), id, query)
    if (found === null) throw notFound()
    return renderRow(resource, found, query)
  }
}
