import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { revokedDetails } from '#src/auth/events.ts'
import { hashResetToken, mintResetToken } from '#src/auth/reset-token.ts'
import { parseSecurityLinkToken, type SecurityLinkToken } from '#src/auth/security-link.ts'
import { tokenLink } from '#src/auth/token-link.ts'
import { findSecurityLink, secureAccount } from '#src/database/security-links.ts'
import { isYes } from '#src/input/account.ts'
import { ANYBODY, HIDDEN } from '#src/panel/access.ts'
import { NotMe, NotMeImpossible, Secured } from '#src/panel/pages/not-me.tsx'

/** Users who may do nothing else can end what is not theirs as well: what counts is the token. */
const access = { ...ANYBODY, whileBanned: true, beforeSecondFactor: true } as const

const TITLE = 'This was not me'

const notMe: FastifyPluginAsyncTypebox = async app => {
  const { config, clock, random } = app
  const { kysely } = app.database

  const refuse = (reply: FastifyReply) => reply.code(404).page({ title: TITLE }, <NotMeImpossible />)

  /** The link with a token, which counts as a guess of the address. @throws {HttpError} 429 after too many wrong ones */
  const find = async (request: FastifyRequest, token: SecurityLinkToken) => {
    const { link } = await app.attempts.guess(request, token.digest(), async () => {
      const link = await findSecurityLink(kysely, token.digest(), clock())
      return { isRight: link !== null, link }
    })
    return link
  }

  app.get(
    '/not-me',
    {
      config: { access },
      schema: { ...HIDDEN, querystring: Type.Object({ token: Type.Optional(Type.Unknown()) }) },
    },
    async (request, reply) => {
      const token = parseSecurityLinkToken(request.query.token)
      const link = token && (await find(request, token))
      if (token === null || link === null) return refuse(reply)
      return reply.page({ title: TITLE }, <NotMe name={link.name} token={token.reveal()} />)
    },
  )

  app.post(
    '/not-me',
    {
      config: { access },
      schema: {
        ...HIDDEN,
        body: Type.Object({
          token: Type.Optional(Type.Unknown()),
          revoke_tokens: Type.Optional(Type.Unknown()),
        }),
      },
    },
    async (request, reply) => {
      const token = parseSecurityLinkToken(request.body.token)
      if (token === null || (await find(request, token)) === null) return refuse(reply)
      const revokesTokens = isYes(request.body.revoke_tokens)
      const resetToken = mintResetToken(random)
      const secured = await secureAccount(kysely, token.digest(), {
        revokeTokens: revokesTokens ? config.tokenableTypes : null,
        resetToken: await hashResetToken(resetToken),
        now: clock(),
      })
      if (secured === null) return refuse(reply)
      const { userId, name, email, tokens } = secured
      request.record('account secured', { userId, revokedTokens: revokesTokens })
      if (tokens.length > 0) {
        request.record('token revoked', { userId, which: 'all', ...revokedDetails(tokens) })
      }
      if (email !== null) {
        await app.mail.sendAccountSecured({ name, email }, tokenLink(config.resetPasswordUrl, resetToken))
      }
      if (request.identity?.user.id === userId) {
        // The session of this very browser is over as well.
        app.devices.send(request, null)
        await app.sessions.start(request)
        request.identity = null
      }
      return reply.page(
        { title: TITLE },
        <Secured tokens={revokesTokens ? tokens.length : null} isMailed={email !== null} />,
      )
    },
  )
}

export default notMe
