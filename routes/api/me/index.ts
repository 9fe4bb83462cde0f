import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { me as endpoint } from '#src/api/endpoints.ts'
import { failure, success } from '#src/api/responses.ts'
import { userValues } from '#src/database/identity-columns.ts'
import { listAsker } from '#src/lists/handlers.ts'
import { createFinder, withoutIncludes } from '#src/query/find.ts'
import { showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'
import { render } from '#src/query/render.ts'
import { MESSAGES } from '#src/responses/messages.ts'

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
          'Returns the user to whom the token belongs, with what is included of its own, whatever its visibility. No permission is needed, nor a verified e-mail address; but who is banned from seeing something does not see it here. Without includes it is open to users who are banned from everything or have to set up a second factor first.',
        response: {
          200: success(showSchema(endpoint, 'The authenticated user.')),
          403: failure(
            'The token lacks the ability for what is included, or the user is banned from seeing it.',
            MESSAGES.prohibited,
          ),
        },
      },
    },
    async request => {
      const query = parse(request.url)
      if (query.includes.size > 0) request.requireStanding()
      const user = request.user()
      const values = userValues(user)
      const found =
        query.includes.size === 0
          ? withoutIncludes(values)
          : await app.database.list(listAsker(endpoint, request, query), db =>
              finder.includes(db, endpoint.resource, user.id, values, query),
            )
      return { user: render(endpoint.resource, found, query) }
    },
  )
}

export default me
