import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'

/** A mail to one person. */
export interface Mail {
  to: { name: string; address: string }
  subject: string
  text: string
  html: string
}

/** What became of a mail: `dropped` because too many were waiting already. */
export type MailOutcome = 'sent' | 'failed' | 'dropped'

/** Brings a mail on its way. What it throws with a `responseCode` of 500 or more is final. */
export type Deliver = (mail: Mail) => Promise<void>

export interface Mailer {
  /** Has a mail sent, and does not wait for that. */
  send(mail: Mail): void
  /** Gives what is under way a few seconds to arrive. */
  close(): Promise<void>
}

const CONCURRENCY = 4
const WAITING = 1_000
const RETRY_MS = [5_000, 30_000, 120_000, 600_000]
const CLOSE_MS = 5_000

interface MailerOptions {
  deliver: Deliver
  /** Hears what became of each mail, with the error if there was one. */
  onOutcome: (outcome: MailOutcome, mail: Mail, error: unknown) => void
  /** Resolves after so many milliseconds; rejects when the signal aborts. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

/**
 * Sends mails one after the other, a few at a time, and tries again what a server could not take. They are kept in
 * memory alone, for they hold secrets: what waits when the process ends is lost, and can be asked for once more.
 */
export function mailer({ deliver, onOutcome, wait = waitUnref }: MailerOptions): Mailer {
  const limit = pLimit(CONCURRENCY)
  const closed = new AbortController()
  const underWay = new Set<Promise<void>>()

  const attempt = async (mail: Mail) => {
    for (const pause of [...RETRY_MS, null]) {
      // Whoever closes meanwhile gets one more.
      const isLast = pause === null || closed.signal.aborted
      try {
        await limit(() => deliver(mail))
        return onOutcome('sent', mail, null)
      } catch (error) {
        const { responseCode = 0 } = error as { responseCode?: number }
        if (isLast || responseCode >= 500) {
          return onOutcome('failed', mail, error)
        }
        await wait(pause, closed.signal).catch(() => {})
      }
    }
  }

  return {
    send(mail) {
      if (underWay.size >= WAITING) return onOutcome('dropped', mail, null)
      const work = attempt(mail).finally(() => underWay.delete(work))
      underWay.add(work)
    },
    async close() {
      closed.abort()
      const tooLate = delay(CLOSE_MS, undefined, { ref: false })
      await Promise.race([Promise.allSettled(underWay), tooLate])
    },
  }
}

const waitUnref = async (ms: number, signal: AbortSignal) => {
  await delay(ms, undefined, { signal, ref: false })
}
