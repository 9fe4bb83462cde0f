import { Counter, Gauge, type Registry } from 'prom-client'

/** Publishes how many requests wait to be handled and how many were shed. */
export function measureOverload(
  registry: Registry,
  admission: { readonly waiting: number; readonly shed: number },
): void {
  const registers = [registry]
  new Gauge({
    name: 'http_requests_waiting',
    help: 'Requests that wait to be handled while the event loop is busy.',
    registers,
    collect() {
      this.set(admission.waiting)
    },
  })
  new Counter({
    name: 'http_requests_shed_total',
    help: 'Requests with an immediate response 503 because of overload.',
    registers,
    collect() {
      this.reset()
      this.inc(admission.shed)
    },
  })
}
