import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { NO_SUCH_TOKEN, REVOKED_TOKENS, revokedTokens } from '#src/api/responses.ts'
import { rowId } from '#src/input/row-id.ts'
import { TokenPath } from '#src/input/token.ts'
import { notFound } from '#src/responses/errors.ts'

const revokeCurrentSchema = {
  operationId: 'me.token.destroy-current',
  tags: ['token'],
  summary: 'Revoke the token that asks',
  description: 'With all that it issued. Takes no ability. In a session there is none, and nothing happens.',
  response: { 204: revokedTokens('It is revoked.') },
}

const revokeOthersSchema = {
  operationId: 'me.token.destroy-others',
  tags: ['token'],
  summary: 'Revoke all other tokens',
  description: 'All but the one that asks, whichever token issued it; all of them in a session.',
  response: { 204: revokedTokens('They are revoked.') },
}

const revokeSchema = {
  operationId: 'me.token.destroy',
  tags: ['token'],
  summary: 'Revoke a token',
  description:
    'With all that it issued, that these issued, and so on. From the next request on they open nothing.',
  params: TokenPath,
  response: { 204: revokedTokens('It is revoked.'), 404: NO_SUCH_TOKEN },
}

const revokeAllSchema = {
  operationId: 'me.token.destroy-all',
  tags: ['token'],
  summary: 'Revoke all tokens',
  description: 'The one that asks as well.',
  response: { 204: revokedTokens('They are revoked.') },
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
      schema: revokeAllSchema,
    },
    async (request, reply) => {
      return sendRevoked(reply, await app.tokens.revoke(request, { except: null }, 'all'))
    },
  )
}

export default revoking
