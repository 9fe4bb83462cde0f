import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errorsByField } from '../../../../src/api/account-input.ts'
import { myTokens as endpoint, myToken } from '../../../../src/api/endpoints.ts'
import { forbidden, notFound, unauthenticated, unprocessable } from '../../../../src/api/errors.ts'
import { MESSAGES } from '../../../../src/api/messages.ts'
import { pageSchema, showSchema } from '../../../../src/api/query/openapi.ts'
import { queryParser } from '../../../../src/api/query/parse.ts'
import { render } from '../../../../src/api/query/render.ts'
import { relationAt } from '../../../../src/api/query/resource.ts'
import { user as userResource } from '../../../../src/api/resources/user.ts'
import { failure, noContent, success } from '../../../../src/api/responses.ts'
import { ALL_ABILITIES, covers } from '../../../../src/auth/ability.ts'
import { containsRanges, isAddressOrRange } from '../../../../src/auth/address-list.ts'
import type { AccessToken, Identity } from '../../../../src/auth/identity.ts'
import { isoToMillis } from '../../../../src/auth/time.ts'
import { mintSecret, PlainToken, parseAbilities, type TokenSecret } from '../../../../src/auth/token.ts'
import { selectOne } from '../../../../src/database/select.ts'
import {
  type Authority,
  deleteOwnTokens,
  issueToken,
  type NewToken,
  type NotIssued,
  type Predecessor,
  renameToken,
  replaceToken,
} from '../../../../src/database/tokens.ts'
import { ownList } from '../../../../src/own-list.ts'

const { rules } = MESSAGES

const MAX_ABILITIES = 100
const MAX_ADDRESSES = 50

/** Seconds for which a token can live on after it was rotated: a week. */
const MAX_GRACE_S = 604_800

/** PostgreSQL keeps no text with a NUL. */
const Name = Type.String({ minLength: 1, maxLength: 255, pattern: '^[^\\u0000]*$', examples: ['laptop'] })

const Abilities = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
  maxItems: MAX_ABILITIES,
  description: 'What it allows, of `read:playlist`, `write:token` and the like; everything unless given.',
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
  const { config, clock, random } = app
  const { kysely } = app.database
  const types = config.tokenableTypes
  const relation = relationAt(userResource, ['tokens'])
  const parse = queryParser(myToken)
  const unknown = { 404: failure('The user has no such token.', MESSAGES.notFound) }

  const ownerOf = (request: FastifyRequest) => ({ userId: (request.identity as Identity).user.id, types })
  const idOf = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : 0)

  /** A user's token as it is shown. @throws {HttpError} 404 when there is no such token */
  const show = async (request: FastifyRequest, id: number, query = parse('')) => {
    const keys = { ownerKey: ownerOf(request).userId, key: id }
    const found = await selectOne(kysely, myToken.resource, relation, keys, { query, userTypes: types })
    if (found === null) throw notFound()
    return render(myToken.resource, found, query)
  }

  /** The token that bounds what another one may be; null for a session. */
  const boundOf = ({ identity }: FastifyRequest): AccessToken | null =>
    identity?.via === 'token' ? identity.token : null

  /** Whether a token may give abilities, where they count. */
  const mayGive = (bound: AccessToken | null, abilities: readonly string[]): boolean =>
    bound === null || !config.tokenAbilities || covers(bound.abilities, abilities)

  const authorityOf = (request: FastifyRequest): Authority => {
    const identity = request.identity as Identity
    return identity.via === 'token'
      ? { tokenId: identity.token.id }
      : { session: identity.session.id.digest() }
  }

  /** The id of a token that was issued. @throws {HttpError} for the reason why none was */
  const issued = (result: number | NotIssued): number => {
    if (result === 'no authority') throw unauthenticated()
    if (result === 'too many') throw forbidden(MESSAGES.tooManyTokens(config.tokensPerUser))
    if (result === 'no such token') throw notFound()
    return result
  }

  const newToken = (
    request: FastifyRequest,
    secret: TokenSecret,
    token: Pick<NewToken, 'name' | 'abilities' | 'allowedIps' | 'expiresAt'>,
  ): NewToken => ({
    ...token,
    userId: ownerOf(request).userId,
    userType: types[0],
    digest: secret.digest(),
    now: clock(),
  })

  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: 'read:token' }, endpoint },
      schema: {
        operationId: 'me.token.index',
        tags: ['token'],
        summary: "List the user's tokens",
        description: 'Oldest first, and never with their secrets.',
        response: { 200: success(pageSchema(endpoint, 'A page of tokens.'), { isLimited: true }) },
      },
    },
    ownList(app, endpoint, 'tokens'),
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
          'Its secret is in this answer, and never again. A token that asks can give no more than it has: no other abilities or addresses, and no later end. TOKENS_PER_USER is the most that a user can have.',
        body: Type.Object({
          name: Name,
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
          201: success(Issued, { isLimited: true }),
          403: failure(
            'The token lacks the ability `write:token`, or the user has too many.',
            MESSAGES.tooManyTokens(500),
          ),
        },
      },
    },
    async (request, reply) => {
      const { name, abilities, allowed_ips: addresses, expires_at: until } = request.body
      const bound = boundOf(request)
      const own = bound?.abilities ?? [ALL_ABILITIES]
      const wanted = [...new Set(abilities ?? own)]
      const asked = until === undefined || until === null ? null : isoToMillis(until)
      // Whoever ends at some time can give nobody more time.
      const expiresAt = asked ?? bound?.endsAt ?? null
      const allowedIps = addresses ?? bound?.allowedIps ?? null
      const errors = errorsByField({
        allowed_ips:
          allowedIps !== null && !allowedIps.every(isAddressOrRange)
            ? [rules.addresses('allowed ips')]
            : isWithin(bound, allowedIps)
              ? []
              : [rules.notBeyond('allowed ips')],
        abilities: mayGive(bound, wanted) ? [] : [rules.notBeyond('abilities')],
        expires_at: Number.isNaN(expiresAt)
          ? [rules.isoDate('expires at')]
          : expiresAt !== null && expiresAt <= clock()
            ? [rules.future('expires at')]
            : bound !== null && bound.endsAt !== null && expiresAt !== null && expiresAt > bound.endsAt
              ? [rules.notBeyond('expires at')]
              : [],
      })
      if (errors !== null) throw unprocessable(errors)

      const secret = mintSecret(config.tokenPrefix, random)
      const row = newToken(request, secret, { name, abilities: wanted, allowedIps, expiresAt })
      const authority = authorityOf(request)
      const id = issued(await issueToken(kysely, row, types, { authority, most: config.tokensPerUser }))
      request.record('token created', { userId: row.userId, tokenId: id, name })
      return reply
        .code(201)
        .send({ token: await show(request, id), plain_text_token: new PlainToken(id, secret).reveal() })
    },
  )

  app.get(
    '/:token',
    {
      config: { access: { auth: 'required', ability: 'read:token' }, endpoint: myToken },
      schema: {
        operationId: 'me.token.show',
        tags: ['token'],
        summary: 'Show a token',
        description: 'Without its secret.',
        params: Params,
        response: { 200: success(showSchema(myToken, 'The token.'), { isLimited: true }), ...unknown },
      },
    },
    async request => {
      const query = parse(request.url)
      return { token: await show(request, idOf(request.params.token), query) }
    },
  )

  app.patch(
    '/:token',
    {
      config: { access: { auth: 'required', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.update',
        tags: ['token'],
        summary: 'Rename a token',
        description: 'Nothing else of a token can be changed: what it may do was decided when it was issued.',
        params: Params,
        body: Type.Object({ name: Name }),
        response: { 200: success(showSchema(myToken, 'The token.'), { isLimited: true }), ...unknown },
      },
    },
    async request => {
      const id = idOf(request.params.token)
      const { name } = request.body
      const query = parse(request.url)
      const owner = ownerOf(request)
      if (!(await renameToken(kysely, owner, id, { name, now: clock() }))) throw notFound()
      request.record('token renamed', { userId: owner.userId, tokenId: id, name })
      return { token: await show(request, id, query) }
    },
  )

  app.post(
    '/:token/rotate',
    {
      config: { access: { auth: 'required', ability: 'write:token', password: 'confirmed' } },
      schema: {
        operationId: 'me.token.rotate',
        tags: ['token'],
        summary: 'Replace a token by a new one',
        description:
          "The new one has another id and secret, and the old one's name, abilities and date. The old one ends at once, or after `grace` seconds. A token cannot replace one that may do more than itself.",
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
        response: { 201: success(Issued, { isLimited: true }), ...unknown },
      },
    },
    async (request, reply) => {
      const id = idOf(request.params.token)
      const grace = request.body.grace ?? 0
      const owner = ownerOf(request)
      const bound = boundOf(request)
      const secret = mintSecret(config.tokenPrefix, random)
      const successor = ({ name, abilities: stored, allowedIps, expiresAt }: Predecessor) => {
        const abilities = parseAbilities(stored)
        if (!mayGive(bound, abilities) || !isWithin(bound, allowedIps))
          throw forbidden(MESSAGES.invalidAbility)
        const end = Math.min(expiresAt ?? Number.POSITIVE_INFINITY, bound?.endsAt ?? Number.POSITIVE_INFINITY)
        if (!(end > clock())) throw unprocessable({ token: [MESSAGES.tokenEnded] })
        return newToken(request, secret, {
          name,
          abilities,
          allowedIps,
          expiresAt: end === Number.POSITIVE_INFINITY ? null : end,
        })
      }
      const graceUntil = grace === 0 ? null : clock() + grace * 1000
      const authority = authorityOf(request)
      const most = config.tokensPerUser
      const newId = issued(await replaceToken(kysely, owner, id, { successor, graceUntil, authority, most }))
      request.record('token rotated', { userId: owner.userId, tokenId: newId, before: id, grace })
      return reply.code(201).send({
        token: await show(request, newId),
        plain_text_token: new PlainToken(newId, secret).reveal(),
      })
    },
  )

  /** Revokes tokens, and records it if there were any. */
  const revoke = async (
    request: FastifyRequest,
    which: Parameters<typeof deleteOwnTokens>[2],
    what: string | number,
  ) => {
    const owner = ownerOf(request)
    const count = await deleteOwnTokens(kysely, owner, which)
    if (count > 0) request.record('token revoked', { userId: owner.userId, which: what, count })
    return count
  }
  const currentId = ({ identity }: FastifyRequest) => (identity?.via === 'token' ? identity.token.id : null)

  app.delete(
    '/current',
    {
      config: { access: { auth: 'required' } },
      schema: {
        operationId: 'me.token.destroy-current',
        tags: ['token'],
        summary: 'Revoke the token that asks',
        description: 'Takes no ability. In a session there is none, and nothing happens.',
        response: { 204: noContent('It is revoked.') },
      },
    },
    async (request, reply) => {
      const id = currentId(request)
      if (id !== null) await revoke(request, { id }, 'current')
      return reply.code(204).send(null)
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
        description: 'All but the one that asks; all of them in a session.',
        response: { 204: noContent('They are revoked.') },
      },
    },
    async (request, reply) => {
      await revoke(request, { except: currentId(request) }, 'others')
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '/:token',
    {
      config: { access: { auth: 'required', ability: 'write:token' } },
      schema: {
        operationId: 'me.token.destroy',
        tags: ['token'],
        summary: 'Revoke a token',
        description: 'From the next request on it opens nothing.',
        params: Params,
        response: { 204: noContent('It is revoked.'), ...unknown },
      },
    },
    async (request, reply) => {
      const id = idOf(request.params.token)
      if ((await revoke(request, { id }, id)) === 0) throw notFound()
      return reply.code(204).send(null)
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
        response: { 204: noContent('They are revoked.') },
      },
    },
    async (request, reply) => {
      await revoke(request, { except: null }, 'all')
      return reply.code(204).send(null)
    },
  )
}

/** Whether a token may be used from nowhere else than the one that bounds it. */
const isWithin = (bound: AccessToken | null, allowedIps: readonly string[] | null): boolean =>
  bound === null ||
  bound.allowedIps === null ||
  (allowedIps !== null && containsRanges(bound.allowedIps, allowedIps))

export default tokens
