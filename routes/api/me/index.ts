import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { me as endpoint } from '../../../src/api/endpoints.ts'
import { showSchema } from '../../../src/api/query/openapi.ts'
import { queryParser } from '../../../src/api/query/parse.ts'
import { render } from '../../../src/api/query/render.ts'
import { success } from '../../../src/api/responses.ts'
import type { Ability } from '../../../src/auth/ability.ts'
import type { Identity } from '../../../src/auth/identity.ts'
import { selectIncludes, selecting } from '../../../src/database/select.ts'
import { userValues } from '../../../src/database/users.ts'

/** What a token has to allow before it sees more than whose it is. */
const INCLUDES: readonly [include: string, ability: Ability][] = [
  ['externalprofiles', 'read:externalprofile'],
  ['notifications', 'read:notification'],
  ['playlists', 'read:playlist'],
]

const me: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(endpoint)
  const selection = selecting(app.config)

  app.get(
    '',
    {
      config: { access: { auth: 'required' }, endpoint },
      schema: {
        operationId: 'me.show',
        tags: ['me'],
        summary: 'Show the authenticated user',
        description:
          'Returns the user to whom the token belongs, with what is included of its own, whatever its visibility. No permission is needed, nor a verified e-mail address.',
        response: { 200: success(showSchema(endpoint, 'The authenticated user.'), { isLimited: true }) },
      },
    },
    async request => {
      const query = parse(request.url)
      for (const [name, ability] of INCLUDES) if (query.includes.has(name)) request.requireAbility(ability)
      const { user } = request.identity as Identity
      const values = userValues(user)
      const found = await selectIncludes(
        app.database.kysely,
        endpoint.resource,
        user.id,
        values,
        selection(query),
      )
      return { user: render(endpoint.resource, found, query) }
    },
  )
}

export default me
