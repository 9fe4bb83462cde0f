import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fp from 'fastify-plugin'
import { Counter, Registry, register } from 'prom-client'
import { METRICS_PATH, metricsServer } from '#src/http/metrics-access.ts'
import { requestDurations } from '#src/http/request-durations.ts'
import type { AuthenticationOutcome } from '#src/http/steps/identify.ts'
import type { MailOutcome } from '#src/mail/mailer.ts'
import type { RefusalReason } from '#src/runtime/fair-queue.ts'
import type { AttemptKind } from './attempts.ts'

interface Metrics {
  registry: Registry
  /** Everything that is measured, this process included, in the text format of Prometheus, and its content type. */
  show(): Promise<{ type: string; text: string }>
  /** Counts an attempt to find out who is calling. */
  authentication(outcome: AuthenticationOutcome): void
  /** Counts a request that was answered 429. */
  rateLimited(limit: 'api' | 'ceiling' | 'failed_auth' | AttemptKind): void
  /** Counts a caller who got no turn at the work of passwords. */
  passwordRefused(reason: RefusalReason): void
  /** Counts a mail: delivered, given up, or turned away. */
  mail(outcome: MailOutcome): void
}

declare module 'fastify' {
  interface FastifyInstance {
    metrics: Metrics
    /** Listens on METRICS_PORT, if that is set. Rejects when it cannot. */
    listenForMetrics(): Promise<void>
  }
}

/** Measures every request, and counts authentications and refusals. */
export default fp(
  async app => {
    const registry = new Registry()
    const durations = requestDurations()
    registry.registerMetric(durations.metric)
    const authentications = counter(registry, {
      name: 'authentications_total',
      help: 'Attempts to find out who is calling, by outcome.',
      label: 'outcome',
    })
    const refusals = counter(registry, {
      name: 'rate_limited_requests_total',
      help: 'Requests that were answered 429, by the limit that they met.',
      label: 'limit',
    })
    const passwordRefusals = counter(registry, {
      name: 'password_refusals_total',
      help: 'Requests that were answered 503 because their password could not be checked or hashed in time, by reason.',
      label: 'reason',
    })

    const mails = counter(registry, {
      name: 'mails_total',
      help: 'Mails, by what became of them.',
      label: 'outcome',
    })

    let whole: Registry | undefined
    const show = async () => {
      whole ??= Registry.merge([register, registry])
      return { type: whole.contentType, text: await whole.metrics() }
    }

    app.decorate('metrics', {
      registry,
      show,
      authentication: authentications,
      rateLimited: refusals,
      passwordRefused: passwordRefusals,
      mail: mails,
    })
    const { config, gate, clock } = app
    const server = metricsServer({ config, gate, clock, show })
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
    app.onRequestEnd((request, reply, status) => {
      const route = request.routeConfig.url ?? 'none'
      durations.observe(request.method, route, status, reply.elapsedTime / 1000)
    })
  },
  { name: 'metrics', dependencies: ['request-end', 'steps'] },
)

/** Counts by one label, in a map: the registry is told when somebody looks. */
function counter(registry: Registry, { name, help, label }: { name: string; help: string; label: string }) {
  const counts = new Map<string, number>()
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset()
      for (const [value, count] of counts) this.inc({ [label]: value }, count)
    },
  })
  return (value: string) => {
    counts.set(value, (counts.get(value) ?? 0) + 1)
  }
}
