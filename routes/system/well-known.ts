import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { CACHED_FOR_A_DAY, publicDocument, redirectResponse, refusal } from '#src/api/responses.ts'
import { pathOf } from '#src/http/request.ts'
import { renderSecurityTxt, SECURITY_TXT_PATH } from '#src/http/security-txt.ts'
import { routeNotFound } from '#src/responses/errors.ts'

/** Well-known URIs (RFC 8615). */
const wellKnown: FastifyPluginAsyncTypebox = async app => {
  const { config, clock } = app

  app.get(
    SECURITY_TXT_PATH,
    {
      config: { access: { auth: 'none' } },
      schema: {
        operationId: 'securityTxt.show',
        tags: ['system'],
        summary: 'Show the contacts for security reports',
        description: 'Returns `security.txt` (RFC 9116) with the contacts of `SECURITY_CONTACT`.',
        produces: ['text/plain'],
        response: {
          200: publicDocument(
            Type.String({
              description: 'The contacts.',
              examples: ['Contact: mailto:security@example.org\nExpires: 2027-05-29T00:00:00.000Z\n'],
            }),
          ),
          404: refusal('`SECURITY_CONTACT` is not set.'),
        },
      },
    },
    async (request, reply) => {
      const text = renderSecurityTxt(config, clock())
      if (text === null) throw routeNotFound(pathOf(request.url))
      return reply.type('text/plain; charset=utf-8').header('cache-control', CACHED_FOR_A_DAY).send(text)
    },
  )

  app.get(
    '/.well-known/change-password',
    {
      config: { access: { auth: 'none' } },
      schema: {
        operationId: 'changePassword.find',
        tags: ['system'],
        summary: 'Redirect to the page for changing the password',
        description:
          "Redirects to `WIKI_CHANGE_PASSWORD`, by default the panel's page (W3C, A Well-Known URL for Changing Passwords).",
        response: { 302: redirectResponse('The page for changing the password.') },
      },
    },
    async (_request, reply) => reply.redirect(config.changePasswordUrl.href, 302),
  )
}

export default wellKnown
