import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { Millis } from '#src/runtime/units.ts'

/** A mail to one person. */
export interface Mail {
  to: { name: string; address: string }
  subject: string
  text: string
  html: string
}

/** The outcome of a mail: `dropped` because the queue was full. */
export type MailOutcome = 'sent' | 'failed' | 'dropped'

/** Delivers a mail. An error with a `responseCode` of 500 or above is permanent and not retried. */
export type Deliver = (mail: Mail) => Promise<void>

export interface Mailer {
  /** Queues a mail and returns immediately. */
  send(mail: Mail): void
  /** Gives queued mails a few seconds to be delivered. */
  close(): Promise<void>
}

const CONCURRENCY = 4
const QUEUE_CAPACITY = 1_000
const RETRY_MS: readonly Millis[] = [5_000, 30_000, 120_000, 600_000]
const CLOSE_MS: Millis = 5_000

interface MailerOptions {
  deliver: Deliver
  /** Called with the outcome of each mail, and the error of a failed one. */
  onOutcome: (outcome: MailOutcome, mail: Mail, error: unknown) => void
  /** Resolves after a delay; rejects when the signal aborts. */
  wait?: (ms: Millis, signal: AbortSignal) => Promise<void>
}

/**
 * Sends mails with limited concurrency and retries temporary failures with backoff. The queue is in memory only,
 * because mails contain secrets. Mails that are queued when the process ends are lost; users can request them again.
 */
export function createMailer({ deliver, onOutcome, wait = waitUnref }: MailerOptions): Mailer {
  const limit = pLimit(CONCURRENCY)
  const closed = new AbortController()
  const queued = new Set<Promise<void>>()

  const attempt = async (mail: Mail) => {
    for (const delayMs of [...RETRY_MS, null]) {
      // After `close` there is one more attempt.
      const isLast = delayMs === null || closed.signal.aborted
      try {
        await limit(() => deliver(mail))
        return onOutcome('sent', mail, null)
      } catch (error) {
        const { responseCode = 0 } = error as { responseCode?: number }
        if (isLast || responseCode >= 500) {
          return onOutcome('failed', mail, error)
        }
        await wait(delayMs, closed.signal).catch(() => {})
      }
    }
  }

  return {
    send(mail) {
      if (queued.size >= QUEUE_CAPACITY) return onOutcome('dropped', mail, null)
      const work = attempt(mail).finally(() => queued.delete(work))
      queued.add(work)
    },
    async close() {
      closed.abort()
      const timeout = delay(CLOSE_MS, undefined, { ref: false })
      await Promise.race([Promise.allSettled(queued), timeout])
    },
  }
}

const waitUnref = async (ms: Millis, signal: AbortSignal) => {
  await delay(ms, undefined, { signal, ref: false })
}
