import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { me as endpoint } from '#src/api/endpoints.ts'
import { refusal, successResponse } from '#src/api/responses.ts'
import { userValues } from '#src/database/identity-columns.ts'
import { withoutIncludes } from '#src/database/select/found.ts'
import { authorizeList } from '#src/lists/handlers.ts'
import { createFinder } from '#src/query/find.ts'
import { showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'
import { renderRow } from '#src/query/render.ts'

const me: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(endpoint)
  const finder = createFinder(app.config)

  app.get(
    '',
    {
      config: { access: { auth: 'required', whileBanned: true, beforeSecondFactor: true }, endpoint },
      schema: {
        operationId: 'me.show',
        tags: ['me'],
        summary: 'Show the authenticated user',
        description:
          'Returns the authenticated user. Includes contain all rows of the user, regardless of visibility. No permission and no verified e-mail address is required, but a ban from seeing a resource applies. Without includes it is open to users who are banned from everything or must set up a second factor first.',
        response: {
          200: successResponse(showSchema(endpoint, 'The authenticated user.')),
          403: refusal(
            'The token lacks the ability for an included resource, or the user is banned from seeing it.',
          ),
        },
      },
    },
    async request => {
      const query = parse(request.url)
      if (query.includes.size > 0) request.requireUnrestricted()
      const user = request.user()
      const values = userValues(user)
      const found =
        query.includes.size === 0
          ? withoutIncludes(values)
          : await app.database.listStatements(authorizeList(endpoint, request, query), db =>
              finder.includes(db, endpoint.resource, user.id, values, query),
            )
      return { user: renderRow(endpoint.resource, found, query) }
    },
  )
}

export default me
