import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { myToken } from '#src/api/endpoints.ts'
import { failure, NO_SUCH_TOKEN, success } from '#src/api/responses.ts'
import { KNOWN_ABILITIES } from '#src/auth/ability.ts'
import { titleOf } from '#src/input/list.ts'
import { rowId } from '#src/input/row-id.ts'
import { MAX_ADDRESSES, MAX_GRACE_S, TokenName, TokenPath } from '#src/input/token.ts'
import { integerOf, reading } from '#src/input/values.ts'
import { ownRow, tokensOf } from '#src/lists/own-list.ts'
import { MESSAGES } from '#src/responses/messages.ts'

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

const issueSchema = {
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
}

const rotateSchema = {
  operationId: 'me.token.rotate',
  tags: ['token'],
  summary: 'Replace a token by a new one',
  description:
    "The new one has another id and secret, and the old one's name, abilities and date. The old one ends at once, or after `grace` seconds. The new one is the issuer of what the old one issued, and of the old one while that counts. A token cannot replace one that may do more than itself.",
  params: TokenPath,
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
    404: NO_SUCH_TOKEN,
  },
}

/** Issues tokens: new ones, and those that take the place of others. */
const issuing: FastifyPluginAsyncTypebox = async app => {
  const show = ownRow(app, myToken, tokensOf)

  app.post(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:token', password: 'confirmed' } },
      schema: issueSchema,
      preValidation: reading({ name: titleOf }),
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
      preValidation: reading({ grace: integerOf }),
    },
    async (request, reply) => {
      const old = rowId(request.params.token)
      const { id, plain } = await app.tokens.rotate(request, old, request.body.grace ?? 0)
      return reply.code(201).send({ token: await show(request, id), plain_text_token: plain.reveal() })
    },
  )
}

export default issuing
