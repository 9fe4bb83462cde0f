import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { millisToTimestamp } from '#src/auth/time.ts'
import type { PlainToken } from '#src/auth/token.ts'
import { listTokens } from '#src/database/tokens.ts'
import { parseRowId, RowId } from '#src/input/row-id.ts'
import { notFound } from '#src/responses/errors.ts'
import { EMPTY_FORM, type FormState } from './elements.tsx'
import { IssuedToken, Token } from './pages/token.tsx'
import type { ShownToken } from './pages/token-terms.tsx'
import { Tokens } from './pages/tokens.tsx'
import { tokenPath } from './paths.ts'
import { computeTokenExpiry } from './token-expiry.ts'

/** The path parameters of a token's page. */
export const TokenParams = Type.Object({ token: RowId })

/** Returns the token id from the path. */
export const tokenIdOf = ({ params }: FastifyRequest): number =>
  parseRowId((params as { token: string }).token)

type Services = Pick<FastifyInstance, 'clock' | 'config' | 'database'>

/** Returns the owner whose tokens the pages show: the caller. */
export const ownerOf = (request: FastifyRequest, { config }: Pick<Services, 'config'>) => ({
  userId: request.user().id,
  types: config.tokenableTypes,
})

const withExpiry = (row: Omit<ShownToken, 'expiry'>, { config, clock }: Services): ShownToken => ({
  ...row,
  expiry: computeTokenExpiry(row, config, clock()),
})

/** Returns the function that renders the list of the user's tokens, with the form for a new one. */
export const tokenListPage =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    formState: FormState & { problem?: string } = EMPTY_FORM,
  ): Promise<FastifyReply> => {
    const own = await listTokens(services.database.kysely, ownerOf(request, services))
    const now = services.clock()
    const undated = { expires_at: null, created_at: millisToTimestamp(now), last_used_at: null }
    return reply.sendPage(
      { title: 'Tokens', active: 'Tokens', problem: formState.problem },
      <Tokens
        tokens={own.map(row => withExpiry(row, services))}
        formState={formState}
        owesPassword={request.owesPassword()}
        defaultExpiry={computeTokenExpiry(undated, services.config, now)}
      />,
    )
  }

/** Returns the function that renders the page of a token, with its forms. */
export const tokenPage =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    formState: { rename?: FormState; rotate?: FormState; problem?: string } = {},
  ): Promise<FastifyReply> => {
    const owner = ownerOf(request, services)
    const [row] = await listTokens(services.database.kysely, owner, tokenIdOf(request))
    if (row === undefined) throw notFound()
    return reply.sendPage(
      { title: row.name, active: 'Tokens', problem: formState.problem },
      <Token token={withExpiry(row, services)} formState={formState} owesPassword={request.owesPassword()} />,
    )
  }

/** Returns the function that renders a new token, with its secret. */
export const issuedTokenPage =
  (services: Services) =>
  async (
    request: FastifyRequest,
    reply: FastifyReply,
    { id, plain }: { id: number; plain: PlainToken },
  ): Promise<FastifyReply> => {
    const [row] = await listTokens(services.database.kysely, ownerOf(request, services), id)
    reply.repeatLocation = `${tokenPath(id)}?done=issued-before`
    return reply
      .code(201)
      .sendPage(
        { title: 'Your new token', active: 'Tokens' },
        <IssuedToken
          name={row?.name ?? ''}
          plain={plain.reveal()}
          token={row === undefined ? null : withExpiry(row, services)}
        />,
      )
  }
