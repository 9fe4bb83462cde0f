import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { notFound, unprocessable } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { PlainToken } from '#src/auth/token.ts'
import { tokensEndingWith } from '#src/database/token-endings.ts'
import { listTokens } from '#src/database/tokens.ts'
import { titleOf } from '#src/input/list.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import { MAX_ADDRESSES, MAX_GRACE_S, TokenName } from '#src/input/token.ts'
import { reading } from '#src/input/values.ts'
import { HIDDEN, LOGGED_IN } from '#src/panel/access.ts'
import { backToForm } from '#src/panel/back-to-form.ts'
import { BLANK, type Returned } from '#src/panel/elements.tsx'
import { aboutRevoking, aboutRevokingAll } from '#src/panel/pages/questions.tsx'
import { IssuedToken, type ShownToken, Token, Tokens } from '#src/panel/pages/tokens.tsx'
import { TOKENS_PATH, tokenPath } from '#src/panel/paths.ts'
import { endOfToken } from '#src/panel/token-end.ts'
import { PRESETS, SCOPES, TICKED } from '#src/panel/token-scopes.ts'

const { rules } = MESSAGES

const WITH_PASSWORD = { ...LOGGED_IN, password: 'confirmed or entered' } as const

const Params = Type.Object({ token: RowId })

const Text = Type.Optional(Type.Union([Type.String({ maxLength: 4096 }), Type.Null()]))

const Password = { current_password: Text }

/** The lines, or the words, of a text; null for none. */
function wordsOf(text: string | null | undefined): string[] | null {
  const words = text?.split(/[\s,]+/).filter(Boolean) ?? []
  return words.length === 0 ? null : words
}

const tokens: FastifyPluginAsyncTypebox = async app => {
  const { kysely } = app.database
  const types = app.config.tokenableTypes

  const ownerOf = (request: FastifyRequest) => ({ userId: request.user().id, types })
  const idOf = ({ params }: FastifyRequest) => rowId((params as { token: string }).token)

  const shown = (row: Omit<ShownToken, 'end'>): ShownToken => ({
    ...row,
    end: endOfToken(row, app.config, app.clock()),
  })

  const endWithoutDate = () => {
    const now = app.clock()
    const row = { expires_at: null, created_at: millisToTimestamp(now), last_used_at: null }
    return endOfToken(row, app.config, now)
  }

  /** The tokens that end with one, or all of them. */
  const listEnding = (request: FastifyRequest, id: number | null) =>
    tokensEndingWith(kysely, ownerOf(request), id === null ? { except: null } : { id })

  const showAll = async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ) => {
    const own = await listTokens(kysely, ownerOf(request))
    return reply.page(
      { title: 'Tokens', active: 'Tokens', problem: returned.problem },
      <Tokens
        tokens={own.map(shown)}
        returned={returned}
        owesPassword={request.owesPassword()}
        endWithoutDate={endWithoutDate()}
      />,
    )
  }

  const showOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: { rename?: Returned; rotate?: Returned; problem?: string } = {},
  ) => {
    const [token] = await listTokens(kysely, ownerOf(request), idOf(request))
    if (token === undefined) throw notFound()
    return reply.page(
      { title: token.name, active: 'Tokens', problem: returned.problem },
      <Token token={shown(token)} returned={returned} owesPassword={request.owesPassword()} />,
    )
  }

  const showIssued = async (
    request: FastifyRequest,
    reply: FastifyReply,
    { id, plain }: { id: number; plain: PlainToken },
  ) => {
    const [token] = await listTokens(kysely, ownerOf(request), id)
    reply.leadsTo = `${tokenPath(id)}?done=issued-before`
    return reply
      .code(201)
      .page(
        { title: 'Your new token', active: 'Tokens' },
        <IssuedToken
          name={token?.name ?? ''}
          plain={plain.reveal()}
          token={token === undefined ? null : shown(token)}
        />,
      )
  }

  app.get('', { config: { access: LOGGED_IN }, schema: HIDDEN }, (request, reply) => showAll(request, reply))

  app.post(
    '/tokens',
    {
      config: { access: WITH_PASSWORD },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          name: TokenName,
          scope: Type.Enum([...SCOPES]),
          abilities: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 }),
          ),
          allowed_ips: Text,
          expires_at: Text,
          ...Password,
        }),
      },
      preValidation: reading({ name: titleOf }),
      errorHandler: backToForm(showAll),
    },
    async (request, reply) => {
      const { name, scope, abilities = [], allowed_ips, expires_at } = request.body
      if (scope !== TICKED && abilities.length > 0) {
        throw unprocessable({ abilities: [MESSAGES.ticksBesideScope] })
      }
      const addresses = wordsOf(allowed_ips)
      if (addresses !== null && addresses.length > MAX_ADDRESSES) {
        throw unprocessable({ allowed_ips: [rules.maxItems('allowed ips', MAX_ADDRESSES)] })
      }
      const issued = await app.tokens.issue(request, {
        name,
        abilities: scope === TICKED ? abilities : PRESETS[scope].abilities,
        allowed_ips: addresses,
        expires_at,
      })
      return showIssued(request, reply, issued)
    },
  )

  app.post(
    '/tokens/revoke-all',
    {
      config: {
        access: LOGGED_IN,
        asks: async request => {
          const ending = await listEnding(request, null)
          return ending.length === 0 ? { unchanged: TOKENS_PATH } : aboutRevokingAll(ending)
        },
      },
      schema: HIDDEN,
    },
    async (request, reply) => {
      await app.tokens.revoke(request, { except: null }, 'all')
      return reply.done(TOKENS_PATH, 'tokens-revoked')
    },
  )

  app.get(
    '/tokens/:token',
    { config: { access: LOGGED_IN }, schema: { ...HIDDEN, params: Params } },
    (request, reply) => showOne(request, reply),
  )

  app.post(
    '/tokens/:token/rename',
    {
      config: { access: LOGGED_IN },
      schema: { ...HIDDEN, params: Params, body: Type.Object({ name: TokenName }) },
      preValidation: reading({ name: titleOf }),
      errorHandler: backToForm((request, reply, returned) =>
        showOne(request, reply, { rename: returned, problem: returned.problem }),
      ),
    },
    async (request, reply) => {
      const id = idOf(request)
      await app.tokens.rename(request, id, request.body.name)
      return reply.done(tokenPath(id), 'token-renamed')
    },
  )

  app.post(
    '/tokens/:token/rotate',
    {
      config: { access: WITH_PASSWORD },
      schema: {
        ...HIDDEN,
        params: Params,
        body: Type.Object({
          grace: Type.Optional(Type.Union([Type.String({ pattern: '^\\d{1,6}$' }), Type.Null()])),
          ...Password,
        }),
      },
      errorHandler: backToForm((request, reply, returned) =>
        showOne(request, reply, { rotate: returned, problem: returned.problem }),
      ),
    },
    async (request, reply) => {
      const grace = Math.min(Number(request.body.grace ?? 0), MAX_GRACE_S)
      return showIssued(request, reply, await app.tokens.rotate(request, idOf(request), grace))
    },
  )

  app.post(
    '/tokens/:token/revoke',
    {
      config: {
        access: LOGGED_IN,
        asks: async request => {
          const ending = await listEnding(request, idOf(request))
          const token = ending.find(({ id }) => id === idOf(request))
          if (token === undefined) throw notFound()
          return aboutRevoking(token, ending)
        },
      },
      schema: { ...HIDDEN, params: Params },
    },
    async (request, reply) => {
      const id = idOf(request)
      if ((await app.tokens.revoke(request, { id }, id)) === 0) throw notFound()
      return reply.done(TOKENS_PATH, 'token-revoked')
    },
  )
}

export default tokens
