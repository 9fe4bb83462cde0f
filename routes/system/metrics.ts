import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { refusal, successResponse } from '#src/api/responses.ts'
import { hasMetrics, METRICS_PATH, requireMetricsAccess } from '#src/metrics/access.ts'

const metrics: FastifyPluginAsyncTypebox = async app => {
  const { config } = app
  // Without access for any client the route does not exist.
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
          'Returns request durations by route, authentications by outcome, requests over a limit and more, in the text format of Prometheus. Requires `METRICS_TOKEN` as a bearer token. Without `METRICS_TOKEN` it is available only with `APP_ENV=local`, from the machine itself. With `METRICS_PORT` it is served on that port instead.',
        produces: ['text/plain'],
        response: {
          200: successResponse(
            Type.String({
              description: 'The metrics.',
              examples: ['authentications_total{outcome="authenticated"} 1'],
            }),
          ),
          401: refusal('The token is missing or wrong.'),
          404: refusal('There are no metrics for this caller.'),
        },
      },
    },
    async (request, reply) => {
      requireMetricsAccess(config, request.raw)
      const { type, text } = await app.metrics.render()
      return reply.type(type).send(text)
    },
  )
}

export default metrics
