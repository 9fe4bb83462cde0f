import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { myToken } from '#src/api/endpoints.ts'
import { successResponse } from '#src/api/responses.ts'
import { TokenName, TokenPath } from '#src/input/fields.ts'
import { toTitle } from '#src/input/list.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { convertFields } from '#src/input/values.ts'
import { ownRowRenderer, tokensScope } from '#src/lists/own-list.ts'
import { showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'

const renameSchema = {
  operationId: 'me.token.update',
  tags: ['token'],
  summary: 'Rename a token',
  description: 'Only the name of a token can be changed. Its abilities are fixed when it is issued.',
  params: TokenPath,
  body: Type.Object({ name: TokenName }),
  response: { 200: successResponse(showSchema(myToken, 'The token.')) },
}

const renaming: FastifyPluginAsyncTypebox = async app => {
  const parse = queryParser(myToken)
  const show = ownRowRenderer(app, myToken, tokensScope)

  app.patch(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token' } },
      schema: renameSchema,
      preValidation: convertFields({ name: toTitle }),
    },
    async request => {
      const id = parseRowId(request.params.token)
      const query = parse(request.url)
      await app.tokens.rename(request, id, request.body.name)
      return { token: await show(request, id, query) }
    },
  )
}

export default renaming
