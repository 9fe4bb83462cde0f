import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { REVOKED_TOKENS, revokedTokensResponse } from '#src/api/responses.ts'
import { TokenPath } from '#src/input/fields.ts'
import { parseRowId } from '#src/input/row-id.ts'
import { notFound } from '#src/responses/errors.ts'

const revokeCurrentSchema = {
  operationId: 'me.token.destroy-current',
  tags: ['token'],
  summary: 'Revoke the current token',
  description:
    'Revokes the token of the request and all tokens that it issued. No ability is required. Has no effect in a session.',
  response: { 204: revokedTokensResponse('The token was revoked.') },
}

const revokeOthersSchema = {
  operationId: 'me.token.destroy-others',
  tags: ['token'],
  summary: 'Revoke all other tokens',
  description:
    'Revokes all tokens of the user except the one of the request, even if a revoked token issued it. In a session it revokes all.',
  response: { 204: revokedTokensResponse('The tokens were revoked.') },
}

const revokeSchema = {
  operationId: 'me.token.destroy',
  tags: ['token'],
  summary: 'Revoke a token',
  description:
    'Revokes the token and all tokens that it issued, directly or indirectly. They are refused from the next request on.',
  params: TokenPath,
  response: { 204: revokedTokensResponse('The token was revoked.') },
}

const revokeAllSchema = {
  operationId: 'me.token.destroy-all',
  tags: ['token'],
  summary: 'Revoke all tokens',
  description: 'Revokes all tokens of the user, including the one of the request.',
  response: { 204: revokedTokensResponse('The tokens were revoked.') },
}

const currentId = ({ identity }: FastifyRequest) => (identity?.via === 'token' ? identity.token.id : null)

const sendRevoked = (reply: FastifyReply, count: number) =>
  reply.code(204).header(REVOKED_TOKENS, count).send(null)

/** Revokes the user's tokens, one or many. */
const revoking: FastifyPluginAsyncTypebox = async app => {
  app.delete(
    '/current',
    {
      config: { access: { auth: 'required', whileBanned: true, beforeSecondFactor: true } },
      schema: revokeCurrentSchema,
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
      schema: revokeOthersSchema,
    },
    async (request, reply) => {
      return sendRevoked(reply, await app.tokens.revoke(request, { except: currentId(request) }, 'others'))
    },
  )

  app.delete(
    '/:token',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:token' } },
      schema: revokeSchema,
    },
    async (request, reply) => {
      const id = parseRowId(request.params.token)
      const count = await app.tokens.revoke(request, { id }, id)
      if (count === 0) throw notFound()
      return sendRevoked(reply, count)
    },
  )

  app.delete(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:token' } },
      schema: revokeAllSchema,
    },
    async (request, reply) => {
      return sendRevoked(reply, await app.tokens.revoke(request, { except: null }, 'all'))
    },
  )
}

export default revoking
