import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Registry, register } from 'prom-client'
import { Type } from 'typebox'
import { success } from '../../src/api/responses.ts'

const metrics: FastifyPluginAsyncTypebox = async app => {
  const registry = Registry.merge([register, app.metrics.registry])

  app.get(
    '/metrics',
    {
      config: { access: { auth: 'none' }, anyHost: true },
      schema: {
        operationId: 'metrics.show',
        tags: ['system'],
        summary: 'Show the metrics',
        description:
          'Durations of requests by route, authentications by outcome, and requests over a limit, in the text format of Prometheus.',
        produces: ['text/plain'],
        response: {
          200: success(
            Type.String({
              description: 'The metrics.',
              examples: ['authentications_total{outcome="authenticated"} 1'],
            }),
            { isLimited: false },
          ),
        },
      },
    },
    async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  )
}

export default metrics
