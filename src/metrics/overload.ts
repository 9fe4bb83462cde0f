import { Counter, Gauge, type Registry } from 'prom-client'

/** Publishes how many requests wait to be begun and how many were shed. */
export function measureOverload(
  registry: Registry,
  admission: { readonly waiting: number; readonly shed: number },
): void {
  const registers = [registry]
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
}
