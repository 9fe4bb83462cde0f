import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { notFound } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { myTokens as endpoint, myToken } from '#src/api/endpoints.ts'
import { user as userResource } from '#src/api/resources.ts'
import { failure, REVOKED_TOKENS, revokedTokens, success } from '#src/api/responses.ts'
import { KNOWN_ABILITIES } from '#src/auth/ability.ts'
import { titleOf } from '#src/input/list.ts'
import { rowId } from '#src/input/row-id.ts'
import { MAX_ADDRESSES, MAX_GRACE_S, TokenName } from '#src/input/token.ts'
import { integerOf, reading } from '#src/input/values.ts'
import { ownList } from '#src/lists/own-list.ts'
import { createFinder } from '#src/query/find.ts'
import { pageSchema, showSchema } from '#src/query/openapi.ts'
import { queryParser } from '#src/query/parse.ts'
import { render } from '#src/query/render.ts'
import { relationAt } from '#src/query/resource.ts'
import { belongingTo } from '#src/query/scope.ts'

const MAX_ABILITIES = 100

const Abilities = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
  maxItems: MAX_ABILITIES,
  description: `What it allows, of ${KNOWN_ABILITIES.map(ability => `\`${ability}\``).join(', ')}; what the caller may do unless given.`,
  examples: [['read:playlist']],
})

const AllowedIps = Type.Array(Type.String({ minLength: 1, maxLength: 50 }), {
  minItems: 1,
  maxItems: MAX_ADDRESSES,
  description: 'From which addresses and ranges it may be used; everywhere unless given.',
  examples: [['192.0.2.0/24', '2001:db8::1']],
})

const Params = Type.Object({
  token: Type.String({ description: "The token's id, which stands before the `|`.", examples: ['42'] }),
})

const Issued = Type.Object(
  { token: Type.Unknown(), plain_text_token: Type.String() },
  {
    description: 'The token, and its secret, which is shown this once.',
    examples: [
      {
        token: { id: 42, name: 'laptop', abilities: ['read:playlist'], expires_at: null },
        plain_text_token: '42|gkeZ2Vk1TzAVksSA9sQEkyM9EaEvyDaTaK4eEBPk0eeb2480',
      },
    ],
  },
)

const tokens: FastifyPluginAsyncTypebox = async app => {
  const { kysely } = app.database
  const relation = relationAt(userResource, ['tokens'])
  const parse = queryParser(myToken)
  const finder = createFinder(app.config)
  const unknown = { 404: failure('The user has no such token.', MESSAGES.notFound) }

  /** A user's token as it is shown. @throws {HttpError} 404 when there is no such token */
  const show = async (request: FastifyRequest, id: number, query = parse('')) => {
    const own = belongingTo(relation, request.user().id)
    const found = await finder.one(kysely, myToken.resource, own, id, query)
    if (found === null) throw notFound()
    return render(myToken.resource, found, query)
  }

  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: 'read:token' }, endpoint },
      schema: {
        operationId: 'me.token.index',
        tags: ['token'],
        summary: "List the user's tokens",
        description: 'Oldest first, and never with their secrets.',
        response: { 200: success(pageSchema(endpoint, 'A page of tokens.')) },
      },
    },
    ownList(app, endpoint, ({ id }) => belongingTo(relation, id)),
  )

  app.post(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:token', password: 'confirmed' } },
      schema: {
        operationId: 'me.token.store',
        tags: ['token'],
        summary: 'Issue a token',
        description:
          'Its secret is in this answer, and never again. A token that asks can give no more than it has: no other abilities or addresses, and no later end; when it is revoked, what it issued is revoked with it. TOKENS_PER_USER is the most that a user can have.',
        body: Type.Object({
          name: TokenName,
          abilities: Type.Optional(Type.Union([Abilities, Type.Null()])),
          allowed_ips: Type.Optional(Type.Union([AllowedIps, Type.Null()])),
          expires_at: Type.Optional(
            Type.Union([
              Type.String({
                description: 'ISO 8601, in UTC unless an offset is given.',
                examples: ['2027-01-31T12:00:00Z'],
              }),
              Type.Null(),
            ]),
          ),
        }),
        response: {
          201: success(Issued),
          403: failure(
            "The token lacks the ability `write:token`, the user's e-mail address is not verified, or the user has too many tokens.",
            MESSAGES.unverifiedEmail,
          ),
        },
      },
      preValidation: reading({ name: titleOf }),
    },
    async (request, reply) => {
      const { id, plain } = await app.tokens.issue(request, request.body)
      return reply.code(201).send({ token: await show(request, id), plain_text_token: plain.reveal() })
    },
  )

  app.get(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'read:token' }, endpoint: myToken },
      schema: {
        operationId: 'me.token.show',
        tags: ['token'],
        summary: 'Show a token',
        description: 'Without its secret.',
        params: Params,
        response: { 200: success(showSchema(myToken, 'The token.')), ...unknown },
      },
    },
    async request => {
      const query = parse(request.url)
      return { token: await show(request, rowId(request.params.token), query) }
    },
  )

  app.patch(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.update',
        tags: ['token'],
        summary: 'Rename a token',
        description: 'Nothing else of a token can be changed: what it may do was decided when it was issued.',
        params: Params,
        body: Type.Object({ name: TokenName }),
        response: { 200: success(showSchema(myToken, 'The token.')), ...unknown },
      },
      preValidation: reading({ name: titleOf }),
    },
    async request => {
      const id = rowId(request.params.token)
      const query = parse(request.url)
      await app.tokens.rename(request, id, request.body.name)
      return { token: await show(request, id, query) }
    },
  )

  app.post(
    '/:token/rotate',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token', password: 'confirmed' } },
      schema: {
        operationId: 'me.token.rotate',
        tags: ['token'],
        summary: 'Replace a token by a new one',
        description:
          "The new one has another id and secret, and the old one's name, abilities and date. The old one ends at once, or after `grace` seconds. The new one is the issuer of what the old one issued, and of the old one while that counts. A token cannot replace one that may do more than itself.",
        params: Params,
        body: Type.Object({
          grace: Type.Optional(
            Type.Union([
              Type.Integer({
                minimum: 0,
                maximum: MAX_GRACE_S,
                description: 'Seconds for which the old one still counts.',
                examples: [300],
              }),
              Type.Null(),
            ]),
          ),
        }),
        response: {
          201: success(Issued),
          403: failure(
            "The token lacks the ability `write:token` or may do less than the other one, the user's e-mail address is not verified, or a grace would give the user too many tokens.",
            MESSAGES.unverifiedEmail,
          ),
          ...unknown,
        },
      },
      preValidation: reading({ grace: integerOf }),
    },
    async (request, reply) => {
      const old = rowId(request.params.token)
      const { id, plain } = await app.tokens.rotate(request, old, request.body.grace ?? 0)
      return reply.code(201).send({ token: await show(request, id), plain_text_token: plain.reveal() })
    },
  )

  const currentId = ({ identity }: FastifyRequest) => (identity?.via === 'token' ? identity.token.id : null)

  const sendRevoked = (reply: FastifyReply, count: number) =>
    reply.code(204).header(REVOKED_TOKENS, count).send(null)

  app.delete(
    '/current',
    {
      config: { access: { auth: 'required', whileBanned: true, beforeSecondFactor: true } },
      schema: {
        operationId: 'me.token.destroy-current',
        tags: ['token'],
        summary: 'Revoke the token that asks',
        description:
          'With all that it issued. Takes no ability. In a session there is none, and nothing happens.',
        response: { 204: revokedTokens('It is revoked.') },
      },
    },
    async (request, reply) => {
      const id = currentId(request)
      return sendRevoked(reply, id === null ? 0 : await app.tokens.revoke(request, { id }, 'current'))
    },
  )

  app.delete(
    '/others',
    {
      config: { access: { auth: 'required', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.destroy-others',
        tags: ['token'],
        summary: 'Revoke all other tokens',
        description: 'All but the one that asks, whichever token issued it; all of them in a session.',
        response: { 204: revokedTokens('They are revoked.') },
      },
    },
    async (request, reply) => {
      return sendRevoked(reply, await app.tokens.revoke(request, { except: currentId(request) }, 'others'))
    },
  )

  app.delete(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.destroy',
        tags: ['token'],
        summary: 'Revoke a token',
        description:
          'With all that it issued, that these issued, and so on. From the next request on they open nothing.',
        params: Params,
        response: { 204: revokedTokens('It is revoked.'), ...unknown },
      },
    },
    async (request, reply) => {
      const id = rowId(request.params.token)
      const count = await app.tokens.revoke(request, { id }, id)
      if (count === 0) throw notFound()
      return sendRevoked(reply, count)
    },
  )

  app.delete(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.destroy-all',
        tags: ['token'],
        summary: 'Revoke all tokens',
        description: 'The one that asks as well.',
        response: { 204: revokedTokens('They are revoked.') },
      },
    },
    async (request, reply) => {
      return sendRevoked(reply, await app.tokens.revoke(request, { except: null }, 'all'))
    },
  )
}

export default tokens
