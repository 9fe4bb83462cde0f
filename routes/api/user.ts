import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { me as endpoint } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { userValues } from '#src/database/identity-columns.ts'
import { withoutIncludes } from '#src/database/select/found.ts'
import { schemaReference } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'
import { renderRow } from '#src/query/render.ts'

const user: FastifyPluginAsyncTypebox = async app => {
  const defaults = queryParser(endpoint)('')

  app.get(
    '/user',
    {
      config: { access: { auth: 'required', whileBanned: true, beforeSecondFactor: true } },
      schema: {
        operationId: 'user.show',
        tags: ['me'],
        summary: 'Show the authenticated user, unwrapped',
        description:
          "The user of `GET /me` without the object around it, as clients of Laravel's starter kits expect it.",
        response: {
          200: successResponse(
            Type.Unsafe<object>({
              ...schemaReference(endpoint.resource.schemaName),
              description: 'The authenticated user.',
            }),
          ),
        },
      },
    },
    async request => renderRow(endpoint.resource, withoutIncludes(userValues(request.user())), defaults),
  )
}

export default user
