import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myExternalProfiles as endpoint } from '../../../../src/api/endpoints.ts'
import { pageSchema } from '../../../../src/api/query/openapi.ts'
import { queryParser } from '../../../../src/api/query/parse.ts'
import { renderPage } from '../../../../src/api/query/render.ts'
import { relationAt } from '../../../../src/api/query/resource.ts'
import { user } from '../../../../src/api/resources/user.ts'
import { success } from '../../../../src/api/responses.ts'
import type { Identity } from '../../../../src/auth/identity.ts'
import { selectPage } from '../../../../src/database/select.ts'

const list: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(endpoint)
  const relation = relationAt(user, ['externalprofiles'])

  app.get(
    '',
    {
      config: { access: { auth: 'required', permission: 'view external profile' }, endpoint },
      schema: {
        operationId: 'me.externalprofile.index',
        tags: ['me'],
        summary: "List the user's external profiles",
        description: 'Returns the profiles of the authenticated user on other sites, of every visibility.',
        response: { 200: success(pageSchema(endpoint, 'A page of external profiles.'), { isApi: true }) },
      },
    },
    async request => {
      const query = parse(request.url)
      const { id } = (request.identity as Identity).user
      const page = await selectPage(app.database.kysely, endpoint, relation, id, {
        query,
        userTypes: app.config.tokenableTypes,
      })
      return renderPage(endpoint, query, page, request)
    },
  )
}

export default list
