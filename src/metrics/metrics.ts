import type { Registry } from 'prom-client'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { MailOutcome } from '#src/mail/mailer.ts'
import type { RefusalReason } from '#src/runtime/fair-queue.ts'
import { lazy } from '#src/runtime/lazy.ts'
import { type RequestDurations, requestDurations } from './request-durations.ts'

/** A counter or gauge whose values are read on collection. */
export interface Published {
  type: 'counter' | 'gauge'
  name: string
  help: string
  /** The name of its label, if it has one. */
  label?: string
  /** The current values, by the value of the label. */
  values(): Iterable<readonly [label: string, value: number]>
}

/** The metrics of a server. */
export interface Metrics {
  /** Adds a metric, before the first rendering. */
  publish(metric: Published): void
  /** Request durations by route. */
  durations: RequestDurations
  /** Renders all metrics, those of the process included, in Prometheus' text format, with its content type. */
  render(): Promise<{ type: string; text: string }>
  /** Counts an authentication attempt. */
  countAuthentication(outcome: AuthenticationOutcome): void
  /** Counts a request with the response 429. */
  countRateLimited(limit: string): void
  /** Counts a caller who got no slot for password hashing. */
  countPasswordRefusal(reason: RefusalReason): void
  /** Counts a mail by its outcome: delivered, given up or rejected. */
  countMail(outcome: MailOutcome): void
}

/** A value for {@link Published.values} of a metric without label. */
export const single = (value: number): [readonly [label: string, value: number]] => [['', value]]

/**
 * Makes the {@link Metrics} of a server. Metrics are kept in plain values, and prom-client is loaded with the first
 * rendering: its modules are a twentieth of the start-up time, and many servers render no metrics.
 */
export function createMetrics(): Metrics {
  const durations = requestDurations()
  const published: Published[] = []
  const registry = lazy(async () => {
    const client = await loadProcessMetrics()
    const own = new client.Registry()
    own.registerMetric(durations.metric)
    for (const metric of published) register(client, own, metric)
    return client.Registry.merge([client.register, own])
  })
  const counter = (name: string, help: string, label: string) => {
    const counts = new Map<string, number>()
    published.push({ type: 'counter', name, help, label, values: () => counts })
    return (value: string) => {
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
  }
  return {
    publish: metric => published.push(metric),
    durations,
    async render() {
      const merged = await registry()
      return { type: merged.contentType, text: await merged.metrics() }
    },
    countAuthentication: counter('authentications_total', 'Authentication attempts, by outcome.', 'outcome'),
    countRateLimited: counter(
      'rate_limited_requests_total',
      'Requests with the response 429, by the exceeded limit.',
      'limit',
    ),
    countPasswordRefusal: counter(
      'password_refusals_total',
      'Requests with the response 503 because a password could not be verified or hashed in time, by reason.',
      'reason',
    ),
    countMail: counter('mails_total', 'Mails, by outcome.', 'outcome'),
  }
}

/** The metrics of the process, in prom-client's own registry: measured from the first rendering on. */
const loadProcessMetrics = lazy(async () => {
  const client = await import('prom-client')
  client.collectDefaultMetrics()
  return client
})

/** Registers a metric whose values are read on collection. */
function register(
  { Counter, Gauge }: typeof import('prom-client'),
  registry: Registry,
  { type, name, help, label, values }: Published,
) {
  const options = { name, help, registers: [registry], labelNames: label === undefined ? [] : [label] }
  const read = (add: (labels: Record<string, string>, value: number) => void) => {
    for (const [value, count] of values()) add(label === undefined ? {} : { [label]: value }, count)
  }
  if (type === 'gauge') {
    new Gauge({
      ...options,
      collect() {
        read((labels, value) => this.set(labels, value))
      },
    })
    return
  }
  new Counter({
    ...options,
    collect() {
      this.reset()
      read((labels, value) => this.inc(labels, value))
    },
  })
}
