import fp from 'fastify-plugin'
import { createRequestLog } from '#src/http/request-log.ts'

/** Logs requests, as configured by LOG_REQUESTS. */
export default fp(async app => app.onRequestEnd(createRequestLog(app.config)), {
  name: 'request-log',
  dependencies: ['client-address', 'identify', 'request-end'],
})
