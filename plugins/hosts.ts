import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { HttpError } from '#src/answers/errors.ts'
import { MESSAGES } from '#src/answers/messages.ts'
import { MINUTE_MS } from '#src/auth/time.ts'
import type { HostFault } from '#src/http/gate.ts'
import { countedLog } from '#src/runtime/counted-log.ts'

/** Longer than the name of any host (RFC 1035 §3.1), with a port: what is sent beyond it is not logged. */
const MAX_LOGGED = 260

const SENTENCES: Record<HostFault, string> = {
  ambiguous: MESSAGES.ambiguousHost,
  unknown: MESSAGES.unknownHost,
}

/**
 * Refuses requests that name two hosts, and in production those that name another than ours. Health checks name the
 * machine's address, and so those routes answer to any.
 */
export default fp(
  async app => {
    const { appUrl, appHosts } = app.config
    const listed = appHosts.join(',') || 'empty'
    const logRefused = countedLog<FastifyRequest>(
      app.schedule,
      {
        first: ({ host, log }) =>
          log.warn(
            { host: host.slice(0, MAX_LOGGED) },
            `a request was refused: its host is neither that of APP_URL (${appUrl.hostname}) nor in APP_HOSTS (${listed})`,
          ),
        further: (_kind, count) =>
          app.log.warn(
            { count },
            'further requests were refused within a minute, since their hosts are not ours',
          ),
      },
      MINUTE_MS,
    )
    app.addHook('onRequest', (request, _reply, done) => {
      const fault = app.gate.hostFault(request.raw, request.routeConfig.anyHost)
      if (fault === 'unknown') logRefused('unknown host', request)
      done(fault === null ? undefined : new HttpError(400, SENTENCES[fault]))
    })
  },
  { name: 'hosts', dependencies: ['security-headers'] },
)

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route answers whatever host the request names. */
    anyHost?: boolean
  }
}
