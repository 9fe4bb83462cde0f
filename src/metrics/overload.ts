import { type Metrics, single } from './metrics.ts'

/** Publishes how many requests wait to be handled and how many were shed. */
export function measureOverload(
  { publish }: Pick<Metrics, 'publish'>,
  admission: { readonly waiting: number; readonly shed: number },
): void {
  publish({
    type: 'gauge',
    name: 'http_requests_waiting',
    help: 'Requests that wait to be handled while the event loop is busy.',
    values: () => single(admission.waiting),
  })
  publish({
    type: 'counter',
    name: 'http_requests_shed_total',
    help: 'Requests with an immediate response 503 because of overload.',
    values: () => single(admission.shed),
  })
}
