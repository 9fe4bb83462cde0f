import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { me as endpoint } from '#src/api/endpoints.ts'
import { refusal, successResponse } from '#src/api/responses.ts'
import type { User } from '#src/auth/identity.ts'
import { userValues } from '#src/database/identity-columns.ts'
import { withoutIncludes } from '#src/database/select/found.ts'
import { JsonText } from '#src/http/json-text.ts'
import { authorizeList } from '#src/lists/handlers.ts'
import { createFinder } from '#src/query/find.ts'
import { showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'
import type { Query } from '#src/query/query.ts'
import { renderRow } from '#src/query/render.ts'

const me: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(endpoint)
  const finder = createFinder(app.config)

  const render = (user: User, query: Query) => ({
    user: renderRow(endpoint.resource, withoutIncludes(userValues(user)), query),
  })
  const plain = parse('')
  // Cached users are the same objects with each request. Others are not kept: they are new.
  const rendered = app.identityCache === null ? null : new WeakMap<User, JsonText>()
  const show = (user: User, query: Query) => {
    if (rendered === null || query !== plain) return render(user, query)
    let text = rendered.get(user)
    if (text === undefined) {
      text = new JsonText(JSON.stringify(render(user, query)))
      rendered.set(user, text)
    }
    return text
  }

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
    request => {
      const query = parse(request.url)
      const user = request.user()
      if (query.includes.size === 0) return show(user, query)
      request.requireUnrestricted()
      return app.database
        .listStatements(authorizeList(endpoint, request, query), db =>
          finder.includes(db, endpoint.resource, user.id, userValues(user), query),
        )
        .then(found => ({ user: renderRow(endpoint.resource, found, query) }))
    },
  )
}

export default me
