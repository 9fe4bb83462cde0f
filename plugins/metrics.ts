import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fp from 'fastify-plugin'
import { METRICS_PATH, metricsServer } from '#src/metrics/access.ts'
import { createMetrics, type Metrics } from '#src/metrics/metrics.ts'

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
    /** Listens on METRICS_PORT, if that is set. Rejects when it cannot. */
    listenForMetrics(): Promise<void>
  }
}

/** Adds `app.metrics`, and measures every request. */
export default fp(
  async app => {
    const metrics = createMetrics()
    app.decorate('metrics', metrics)
    const { config, gate, clock } = app
    const server = metricsServer({ config, gate, clock, render: metrics.render })
    app.decorate('listenForMetrics', async () => {
      const { host, metricsPort } = config
      if (metricsPort === null) return
      server.listen({ host, port: metricsPort })
      await once(server, 'listening')
      app.log.info(`Metrics at http://${host}:${(server.address() as AddressInfo).port}${METRICS_PATH}`)
    })
    app.addHook('onClose', async () => {
      server.close()
      server.closeAllConnections()
    })
    app.onRequestEnd((request, _reply, status, ms) => {
      const route = request.routeConfig.url ?? 'none'
      metrics.durations.observe(request.method, route, status, ms / 1000)
    })
  },
  { name: 'metrics', dependencies: ['request-end', 'steps'] },
)
