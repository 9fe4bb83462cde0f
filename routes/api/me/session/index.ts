import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { currentBrowser } from '#src/accounts/browsers.ts'
import { noContentResponse, successResponse } from '#src/api/responses.ts'
import { notFound } from '#src/responses/errors.ts'

const Session = Type.Object(
  {
    id: Type.String(),
    ip_address: Type.Union([Type.String(), Type.Null()]),
    user_agent: Type.Union([Type.String(), Type.Null()]),
    last_active_at: Type.String({ format: 'date-time' }),
    is_current: Type.Boolean({ description: 'Whether it is the browser of the request.' }),
    is_remembered: Type.Boolean({
      description: 'Whether the browser stays logged in after its session expires.',
    }),
  },
  { description: 'A browser in which the user is logged in.' },
)

const Params = Type.Object({
  session: Type.String({
    description: 'The id of the session, from the list.',
    examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  }),
})

const sessions: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '',
    {
      config: { access: { auth: 'required', ability: 'read:me' } },
      schema: {
        operationId: 'me.session.index',
        tags: ['me'],
        summary: 'List the browsers in which the user is logged in',
        description: 'Returns the browsers, last used first. Includes remembered browsers without a session.',
        response: {
          200: successResponse(
            Type.Object(
              { sessions: Type.Array(Session) },
              {
                description: 'The browsers.',
                examples: [
                  {
                    sessions: [
                      {
                        id: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
                        ip_address: '192.0.2.1',
                        user_agent: 'Mozilla/5.0',
                        last_active_at: '2026-03-01T12:34:56.000000Z',
                        is_current: true,
                        is_remembered: false,
                      },
                    ],
                  },
                ],
              },
            ),
          ),
        },
      },
    },
    async request => {
      const own = currentBrowser(request.identity)
      const browsers = await app.browsers.list(request.user().id)
      return {
        sessions: browsers.map(({ id, address, userAgent, lastActiveAt, isRemembered }) => ({
          id,
          ip_address: address,
          user_agent: userAgent,
          last_active_at: new Date(lastActiveAt).toISOString().replace('Z', '000Z'),
          is_current: id === own,
          is_remembered: isRemembered,
        })),
      }
    },
  )

  app.delete(
    '/:session',
    {
      config: { access: { auth: 'required', load: 'own', ability: 'write:me' } },
      schema: {
        operationId: 'me.session.destroy',
        tags: ['me'],
        summary: 'Log out a browser',
        description: 'Ends its session, and forgets the browser if it is remembered.',
        params: Params,
        response: {
          204: noContentResponse('The browser was logged out.'),
        },
      },
    },
    async (request, reply) => {
      if ((await app.browsers.end(request, { id: request.params.session })) === 0) throw notFound()
      return reply.code(204).send(null)
    },
  )

  app.delete(
    '',
    {
      config: { access: { auth: 'required', ability: 'write:me' } },
      schema: {
        operationId: 'me.session.destroy-others',
        tags: ['me'],
        summary: 'Log out all other browsers',
        description: 'Logs out all browsers except the one of the request. With a token it logs out all.',
        response: { 204: noContentResponse('The browsers were logged out.') },
      },
    },
    async (request, reply) => {
      await app.browsers.end(request, 'others')
      return reply.code(204).send(null)
    },
  )
}

export default sessions
