import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { myTokens as endpoint, myToken } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { TokenPath } from '#src/input/fields.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { ownPageHandler, ownRowRenderer, tokensScope } from '#src/lists/own-list.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'

const listSchema = {
  operationId: 'me.token.index',
  tags: ['token'],
  summary: "List the user's tokens",
  description: 'Returns the tokens without their secrets, oldest first.',
  response: { 200: successResponse(pageSchema(endpoint, 'A page of tokens.')) },
}

const oneSchema = {
  operationId: 'me.token.show',
  tags: ['token'],
  summary: 'Show a token',
  description: 'Returns the token without its secret.',
  params: TokenPath,
  response: { 200: successResponse(showSchema(myToken, 'The token.')) },
}

/** Lists and shows the user's tokens. */
const tokens: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(myToken)
  const show = ownRowRenderer(app, myToken, tokensScope)

  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: 'read:token' }, endpoint },
      schema: listSchema,
    },
    ownPageHandler(app, endpoint, tokensScope),
  )

  app.get(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'read:token' }, endpoint: myToken },
      schema: oneSchema,
    },
    async request => {
      const query = parse(request.url)
      return { token: await show(request, parseRowId(request.params.token), query) }
    },
  )
}

export default tokens
