import { Counter, Registry, register } from 'prom-client'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { MailOutcome } from '#src/mail/mailer.ts'
import type { RefusalReason } from '#src/runtime/fair-queue.ts'
import { type RequestDurations, requestDurations } from './request-durations.ts'

/** The metrics of a server. */
export interface Metrics {
  registry: Registry
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

/** Makes the {@link Metrics} of a server. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const durations = requestDurations()
  registry.registerMetric(durations.metric)
  let merged: Registry | undefined
  return {
    registry,
    durations,
    async render() {
      merged ??= Registry.merge([register, registry])
      return { type: merged.contentType, text: await merged.metrics() }
    },
    countAuthentication: counter(registry, {
      name: 'authentications_total',
      help: 'Authentication attempts, by outcome.',
      label: 'outcome',
    }),
    countRateLimited: counter(registry, {
      name: 'rate_limited_requests_total',
      help: 'Requests with the response 429, by the exceeded limit.',
      label: 'limit',
    }),
    countPasswordRefusal: counter(registry, {
      name: 'password_refusals_total',
      help: 'Requests with the response 503 because a password could not be verified or hashed in time, by reason.',
      label: 'reason',
    }),
    countMail: counter(registry, {
      name: 'mails_total',
      help: 'Mails, by outcome.',
      label: 'outcome',
    }),
  }
}

/** Counts by one label in a map, which the registry reads on collection. */
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
