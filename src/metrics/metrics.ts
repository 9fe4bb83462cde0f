import { Counter, Registry, register } from 'prom-client'
import type { AuthenticationOutcome } from '#src/auth/authentication-outcome.ts'
import type { MailOutcome } from '#src/mail/mailer.ts'
import type { RefusalReason } from '#src/runtime/fair-queue.ts'
import { type RequestDurations, requestDurations } from './request-durations.ts'

/** What is measured, and counts of what happens. */
export interface Metrics {
  registry: Registry
  /** How long requests took, by route. */
  durations: RequestDurations
  /** Everything that is measured, this process included, in the text format of Prometheus, and its content type. */
  show(): Promise<{ type: string; text: string }>
  /** Counts an attempt to find out who is calling. */
  authentication(outcome: AuthenticationOutcome): void
  /** Counts a request that was answered 429. */
  rateLimited(limit: string): void
  /** Counts a caller who got no turn at the work of passwords. */
  passwordRefused(reason: RefusalReason): void
  /** Counts a mail: delivered, given up, or turned away. */
  mail(outcome: MailOutcome): void
}

/** Makes the {@link Metrics} of a server. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const durations = requestDurations()
  registry.registerMetric(durations.metric)
  let whole: Registry | undefined
  return {
    registry,
    durations,
    async show() {
      whole ??= Registry.merge([register, registry])
      return { type: whole.contentType, text: await whole.metrics() }
    },
    authentication: counter(registry, {
      name: 'authentications_total',
      help: 'Attempts to find out who is calling, by outcome.',
      label: 'outcome',
    }),
    rateLimited: counter(registry, {
      name: 'rate_limited_requests_total',
      help: 'Requests that were answered 429, by the limit that they met.',
      label: 'limit',
    }),
    passwordRefused: counter(registry, {
      name: 'password_refusals_total',
      help: 'Requests that were answered 503 because their password could not be checked or hashed in time, by reason.',
      label: 'reason',
    }),
    mail: counter(registry, {
      name: 'mails_total',
      help: 'Mails, by what became of them.',
      label: 'outcome',
    }),
  }
}

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
