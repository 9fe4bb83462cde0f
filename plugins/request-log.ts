import type { FastifyBaseLogger } from 'fastify'
import fp from 'fastify-plugin'
import { createRequestLog } from '#src/http/request-log.ts'

/** Logs requests, as configured by LOG_REQUESTS. */
export default fp(
  async app => {
    const { config, clock, logStream } = app
    const log = app.log as FastifyBaseLogger & { isLevelEnabled(level: string): boolean }
    app.onRequestEnd(
      createRequestLog({
        ...config,
        clock,
        isEnabled: () => log.isLevelEnabled('info'),
        write: line => logStream.write(line),
      }),
    )
  },
  {
    name: 'request-log',
    dependencies: ['client-address', 'identify', 'request-end'],
  },
)
