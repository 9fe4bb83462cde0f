import fp from 'fastify-plugin'
import { requestLog } from '#src/http/request-log.ts'

/** Writes one line for each request that LOG_REQUESTS asks for. */
export default fp(async app => app.onRequestEnd(requestLog(app.config)), {
  name: 'request-log',
  dependencies: ['client-address', 'identify', 'request-end'],
})
