import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusal, successResponse } from '#src/api/responses.ts'
import { serviceUnavailable } from '#src/responses/errors.ts'

const Health = (status: string, description: string) =>
  successResponse(Type.Object({ status: Type.String() }, { description, examples: [{ status }] }))

const health: FastifyPluginAsyncTypebox = async app => {
  app.get(
    '/health/live',
    {
      config: { access: { auth: 'none' }, anyHost: true },
      schema: {
        operationId: 'health.live',
        tags: ['system'],
        summary: 'Check whether the process is running',
        description: 'Responds regardless of the state of the database.',
        response: { 200: Health('live', 'The process is running.') },
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
          summary: 'Check whether requests can be served',
          description:
            'Returns 200 if the database is reachable and migrated, until the server begins to shut down.',
          response: {
            200: Health('ready', 'Requests can be served.'),
            503: refusal('The database is not reachable or not migrated, or the server is shutting down.'),
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
