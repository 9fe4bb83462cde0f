import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { OpenedLink } from '#src/accounts/opened-links.ts'
import { noContentResponse, redirectResponse, refusal, statusResponse } from '#src/api/responses.ts'
import { isSafe } from '#src/auth/safe-methods.ts'
import { pathOf } from '#src/http/request.ts'
import { rowIdParameter } from '#src/input/row-id.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES, VERIFICATION_LINK_SENT } from '#src/responses/messages.ts'

const verification: FastifyPluginAsyncTypebox = async app => {
  const { config } = app

  // Browsers that open the link as a guest get the login page, not JSON.
  app.setErrorHandler(async (error, request, reply) => {
    const isUnauthenticated = error instanceof HttpError && error.statusCode === 401
    if (!isUnauthenticated || !wantsPage(request)) throw error
    if (isSafe(request.method)) app.openedLinks.keep(request, linkOf(request))
    return reply.redirect(config.loginUrl.href)
  })

  app.get(
    '/verify/:id/:hash',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'email.verify',
        tags: ['account'],
        summary: "Verify the user's e-mail address",
        description:
          "The link from the mail. It is valid for an hour, and only in a session of the same user. A link that was mailed to a new address changes the user's address to it. Browsers are redirected to FRONTEND_URL with `?verified=1`, and guests to WIKI_LOGIN: a link for the user's own address then takes effect at the login. Limited to six attempts per minute.",
        params: Type.Object({
          id: rowIdParameter("The user's id.", '1'),
          hash: Type.String({ description: 'The SHA-1 of the e-mail address, in hex.' }),
        }),
        response: {
          204: noContentResponse('The address is verified.'),
          302: redirectResponse('The same, for browsers.'),
          422: refusal('Another user has taken the address in the meantime.'),
          423: refusal(
            "The link changes the user's address, and the password was not confirmed in this session.",
          ),
          403: refusal('The link is invalid, has expired, or is for another user.'),
        },
      },
    },
    async (request, reply) => {
      await app.email.openLink(request, linkOf(request))
      if (!wantsPage(request)) return reply.code(204).send(null)
      const page = new URL(config.frontendUrl)
      page.searchParams.set('verified', '1')
      return reply.redirect(page.href)
    },
  )

  app.post(
    '/verification-notification',
    {
      config: { access: { auth: 'required', via: 'session', beforeSecondFactor: true } },
      schema: {
        operationId: 'email.verification-notification',
        tags: ['account'],
        summary: 'Send the verification mail again',
        description:
          'Limited to six attempts per minute, and to five mails per hour and address. If a new address must be confirmed, the mail is sent there.',
        response: {
          200: statusResponse('The mail was sent.'),
          204: noContentResponse('The address is verified already.'),
        },
      },
    },
    async (request, reply) => {
      const isSent = await app.email.sendLinkAgain(request)
      if (!isSent) return reply.code(204).send(null)
      return { message: MESSAGES.verificationLinkSent, status: VERIFICATION_LINK_SENT }
    },
  )
}

/** The requested link as it was written, since its signature is of the text. */
function linkOf({ url }: Pick<FastifyRequest, 'url'>): OpenedLink {
  const path = pathOf(url)
  const [id = '', hash = ''] = path.split('/').slice(-2)
  return { id, hash, query: url.slice(path.length + 1) }
}

/** Whether the client is a browser that opens a page. */
const wantsPage = ({ headers }: FastifyRequest) => /\btext\/html\b/i.test(headers.accept ?? '')

export default verification
