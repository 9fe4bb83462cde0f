import fp from 'fastify-plugin'
import { Counter, Gauge } from 'prom-client'
import { countedLog } from '#src/runtime/counted-log.ts'

/** Publishes how many requests wait to be begun and how many were shed, and logs the latter once a second. */
export default fp(
  async app => {
    const { admission, metrics, schedule, log } = app
    const registers = [metrics.registry]
    const shedding = countedLog<undefined>(schedule, {
      first: () => log.warn('requests are shed: more come in than can be answered'),
      further: (_kind, count) => log.warn({ count }, 'requests were shed within a second'),
    })
    admission.onShed(() => shedding('shed', undefined))

    new Gauge({
      name: 'http_requests_waiting',
      help: 'Requests that wait to be begun, since the event loop is busy.',
      registers,
      collect() {
        this.set(admission.waiting)
      },
    })
    new Counter({
      name: 'http_requests_shed_total',
      help: 'Requests that were answered 503 at once, since more came in than could be answered.',
      registers,
      collect() {
        this.reset()
        this.inc(admission.shed)
      },
    })
  },
  { name: 'overload', dependencies: ['metrics'] },
)
