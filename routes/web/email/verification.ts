import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { emptyJson, failure, noContent, redirection, sendEmptyJson } from '#src/api/responses.ts'
import { pathOf } from '#src/http/request.ts'
import { HttpError } from '#src/responses/errors.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const verification: FastifyPluginAsyncTypebox = async app => {
  const { config } = app

  // Whoever follows a link wants to see a page, and not what is meant for programs.
  app.setErrorHandler(async (error, request, reply) => {
    const isUnknown = error instanceof HttpError && error.statusCode === 401
    if (isUnknown && wantsPage(request)) return reply.redirect(config.loginUrl.href)
    throw error
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
          "The link of the mail: it counts for an hour, and in a session of the very user. One that was mailed to a new address makes that the user's. A browser is sent to FRONTEND_URL with `?verified=1`, or to WIKI_LOGIN unless somebody is logged in. Six attempts a minute.",
        params: Type.Object({
          id: Type.String({ description: "The user's id.", examples: ['1'] }),
          hash: Type.String({ description: 'The SHA-1 of the e-mail address, in hex.' }),
        }),
        response: {
          204: noContent('It is verified, now or before.'),
          302: redirection('The same, for a browser.'),
          423: failure(
            "The link makes a new address the user's, and the password was not confirmed in this session within the last three hours.",
            MESSAGES.passwordConfirmationRequired,
          ),
          403: failure("The link was changed, is too old, or is not the user's.", MESSAGES.invalidSignature),
        },
      },
    },
    async (request, reply) => {
      const path = pathOf(request.url)
      const query = request.url.slice(path.length + 1)
      await app.email.openLink(request, { path, query, ...request.params })
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
        summary: 'Ask for another mail that verifies the e-mail address',
        description:
          'Six attempts a minute. An address gets five such mails an hour at most. While a new address waits for its confirmation, the mail goes there.',
        response: {
          202: emptyJson('It is on its way.'),
          204: noContent('The address is verified already.'),
        },
      },
    },
    async (request, reply) => {
      const isSent = await app.email.sendLinkAgain(request)
      if (!isSent) return reply.code(204).send(null)
      return sendEmptyJson(reply, 202)
    },
  )
}

/** Whether a browser asks for a page, and not a program for data. */
const wantsPage = ({ headers }: FastifyRequest) => /\btext\/html\b/i.test(headers.accept ?? '')

export default verification
