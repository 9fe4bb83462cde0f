import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { success, unavailable } from '#src/api/responses.ts'
import { serviceUnavailable } from '#src/responses/errors.ts'

const Health = (status: string, description: string) =>
  success(Type.Object({ status: Type.String() }, { description, examples: [{ status }] }))

const health: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/health/live',
    {
      config: { access: { auth: 'none' }, anyHost: true },
      schema: {
        operationId: 'health.live',
        tags: ['system'],
        summary: 'Tell whether the process runs',
        description: 'Answers as long as the process can answer at all, whatever the database does.',
        response: { 200: Health('live', 'The process runs.') },
      },
    },
    async () => ({ status: 'live' }),
  )

  for (const path of ['/health', '/health/ready'] as const) {
    app.get(
      path,
      {
        config: { access: { auth: 'none' }, anyHost: true },
        schema: {
          operationId: path === '/health' ? 'health.show' : 'health.ready',
          tags: ['system'],
          summary: 'Tell whether requests can be served',
          description:
            'Returns 200 once the database can be reached and all migrations have run, until the server is told to stop.',
          response: {
            200: Health('ready', 'Requests can be served.'),
            503: unavailable(
              'The database cannot be reached, migrations have not run yet, or the server is stopping.',
            ),
          },
        },
      },
      async () => {
        if (app.drain.hasBegun || !(await app.readiness.isReady())) throw serviceUnavailable()
        return { status: 'ready' }
      },
    )
  }
}

export default health
