import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { PlainToken } from '#src/auth/token.ts'
import { listTokens } from '#src/database/tokens.ts'
import { RowId, rowId } from '#src/input/row-id.ts'
import { notFound } from '#src/responses/errors.ts'
import { BLANK, type Returned } from './elements.tsx'
import { IssuedToken, Token } from './pages/token.tsx'
import type { ShownToken } from './pages/token-terms.tsx'
import { Tokens } from './pages/tokens.tsx'
import { tokenPath } from './paths.ts'
import { endOfToken } from './token-end.ts'

/** The parameters of paths that name a token. */
export const TokenParams = Type.Object({ token: RowId })

/** The id of the token that a path names. */
export const tokenIdOf = ({ params }: FastifyRequest): number => rowId((params as { token: string }).token)

type Services = Pick<FastifyInstance, 'clock' | 'config' | 'database'>

/** Whose tokens the pages show and change: those of the user who asks. */
export const ownerOf = (request: FastifyRequest, { config }: Pick<Services, 'config'>) => ({
  userId: request.user().id,
  types: config.tokenableTypes,
})

const withEnd = (row: Omit<ShownToken, 'end'>, { config, clock }: Services): ShownToken => ({
  ...row,
  end: endOfToken(row, config, clock()),
})

/** Makes the function that shows the user's tokens, and the form for another one. */
export const showingTokens =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: Returned & { problem?: string } = BLANK,
  ): Promise<FastifyReply> => {
    const own = await listTokens(services.database.kysely, ownerOf(request, services))
    const now = services.clock()
    const undated = { expires_at: null, created_at: millisToTimestamp(now), last_used_at: null }
    return reply.page(
      { title: 'Tokens', active: 'Tokens', problem: returned.problem },
      <Tokens
        tokens={own.map(row => withEnd(row, services))}
        returned={returned}
        owesPassword={request.owesPassword()}
        endWithoutDate={endOfToken(undated, services.config, now)}
      />,
    )
  }

/** Makes the function that shows the token of a path, with what came back of the page's forms. */
export const showingToken =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    returned: { rename?: Returned; rotate?: Returned; problem?: string } = {},
  ): Promise<FastifyReply> => {
    const owner = ownerOf(request, services)
    const [row] = await listTokens(services.database.kysely, owner, tokenIdOf(request))
    if (row === undefined) throw notFound()
    return reply.page(
      { title: row.name, active: 'Tokens', problem: returned.problem },
      <Token token={withEnd(row, services)} returned={returned} owesPassword={request.owesPassword()} />,
    )
  }

/** Makes the function that shows a token that was just issued, with its secret. */
export const showingIssued =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    { id, plain }: { id: number; plain: PlainToken },
  ): Promise<FastifyReply> => {
    const [row] = await listTokens(services.database.kysely, ownerOf(request, services), id)
    reply.leadsTo = `${tokenPath(id)}?done=issued-before`
    return reply
      .code(201)
      .page(
        { title: 'Your new token', active: 'Tokens' },
        <IssuedToken
          name={row?.name ?? ''}
          plain={plain.reveal()}
          token={row === undefined ? null : withEnd(row, services)}
        />,
      )
  }
