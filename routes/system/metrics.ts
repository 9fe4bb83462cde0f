import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { failure, success } from '#src/api/responses.ts'
import { hasMetrics, METRICS_PATH, requireMetricsAccess } from '#src/metrics/access.ts'
import { MESSAGES } from '#src/responses/messages.ts'

const metrics: FastifyPluginAsyncTypebox = async app => {
  const { config } = app
  // Where nobody may see them there is no such path.
  if (!hasMetrics(config)) return

  app.get(
    METRICS_PATH,
    {
      config: { access: { auth: 'none' }, anyHost: true },
      schema: {
        operationId: 'metrics.show',
        tags: ['system'],
        summary: 'Show the metrics',
        description:
          'Durations of requests by route, authentications by outcome, and requests over a limit, in the text format of Prometheus. With `METRICS_TOKEN` it takes that as a bearer token. Without, it is there for the machine itself in `APP_ENV=local`, and for nobody otherwise. `METRICS_PORT` moves it to a port of its own.',
        produces: ['text/plain'],
        response: {
          200: success(
            Type.String({
              description: 'The metrics.',
              examples: ['authentications_total{outcome="authenticated"} 1'],
            }),
          ),
          401: failure('The token is missing or wrong.', MESSAGES.unauthenticated),
          404: failure('There are no metrics for this caller.', MESSAGES.routeNotFound('metrics')),
        },
      },
    },
    async (request, reply) => {
      requireMetricsAccess(config, request.raw)
      const { type, text } = await app.metrics.show()
      return reply.type(type).send(text)
    },
  )
}

export default metrics
