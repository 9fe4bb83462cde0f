import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { myToken } from '#src/api/endpoints.ts'
import { token as tokenResource } from '#src/api/resources.ts'
import { refusal, successResponse } from '#src/api/responses.ts'
import { TokenName, TokenPath } from '#src/input/fields.ts'
import { toTitle } from '#src/input/list.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { MAX_GRACE_S, TOKEN_TERMS } from '#src/input/token.ts'
import { convertFields, toInteger } from '#src/input/values.ts'
import { ownRowRenderer, tokensScope } from '#src/lists/own-list.ts'
import { schemaReference } from '#src/query/openapi.ts'

const Issued = Type.Object(
  { token: schemaReference(tokenResource.schemaName), plain_text_token: Type.String() },
  {
    component: 'IssuedToken',
    description: 'The token, and its secret, which is returned only once.',
  },
)

const GONE = refusal('The new token was revoked before the response was sent.')

const issueSchema = {
  operationId: 'me.token.store',
  tags: ['token'],
  summary: 'Issue a token',
  description:
    'Only this response contains the secret. A token that issues another one cannot give it more abilities, other addresses or a later expiry than it has itself, and is revoked together with the tokens that it issued. A user can have at most TOKENS_PER_USER tokens.',
  body: Type.Object({
    name: TokenName,
    ...TOKEN_TERMS,
  }),
  response: {
    201: successResponse(Issued),
    404: GONE,
    403: refusal("The user's e-mail address is not verified, or the user has too many tokens."),
  },
}

const rotateSchema = {
  operationId: 'me.token.rotate',
  tags: ['token'],
  summary: 'Replace a token with a new one',
  description:
    'The new token has a new id and secret, and the name, abilities and expiry of the old one. The old token is revoked immediately, or after `grace` seconds. The new token becomes the issuer of the tokens that the old one issued, and of the old one during the grace period. A token cannot replace one with more abilities.',
  params: TokenPath,
  body: Type.Object({
    grace: Type.Optional(
      Type.Union([
        Type.Integer({
          minimum: 0,
          maximum: MAX_GRACE_S,
          description: 'How long the old token remains valid, in seconds.',
          examples: [300],
        }),
        Type.Null(),
      ]),
    ),
  }),
  response: {
    201: successResponse(Issued),
    404: GONE,
    403: refusal(
      "The token has fewer abilities than the other one, the user's e-mail address is not verified, or a grace period would give the user too many tokens.",
    ),
  },
}

/** Issues and replaces tokens. */
const issuing: FastifyPluginAsyncTypebox = async app => {
  const show = ownRowRenderer(app, myToken, tokensScope)

  app.post(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:token', password: 'confirmed' } },
      schema: issueSchema,
      preValidation: convertFields({ name: toTitle }),
    },
    async (request, reply) => {
      const { id, plain } = await app.tokens.issue(request, request.body)
      return reply.code(201).send({ token: await show(request, id), plain_text_token: plain.reveal() })
    },
  )

  app.post(
    '/:token/rotate',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token', password: 'confirmed' } },
      schema: rotateSchema,
      preValidation: convertFields({ grace: toInteger }),
    },
    async (request, reply) => {
      const old = parseRowId(request.params.token)
      const { id, plain } = await app.tokens.rotate(request, old, request.body.grace ?? 0)
      return reply.code(201).send({ token: await show(request, id), plain_text_token: plain.reveal() })
    },
  )
}

export default issuing
