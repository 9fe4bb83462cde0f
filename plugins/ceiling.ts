import fp from 'fastify-plugin'
import { tooManyRequests } from '#src/answers/errors.ts'
import { isHealthCheck } from '#src/http/http.ts'

/**
 * Refuses clients that send far more than any limit allows, whatever they ask for, before anything is looked up. Health
 * checks are not counted: an orchestrator may share its address with a flood.
 */
export default fp(
  async app => {
    const { gate, clock, metrics } = app

    app.addHook('onRequest', (request, reply, done) => {
      // By the route: what is under the same path and has none is counted.
      const over = isHealthCheck(request.routeConfig.url)
        ? null
        : gate.count(request.raw, request.clientAddress)
      if (over === null) return done()
      metrics.rateLimited('ceiling')
      // Not thrown: the panel would render a page of it.
      const { statusCode, headers, body } = tooManyRequests(over, clock())
      reply.code(statusCode).headers(headers).send(body)
    })
  },
  { name: 'ceiling', dependencies: ['client-address', 'cors', 'metrics'] },
)
