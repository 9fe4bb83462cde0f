import { write as writeBytes, writeSync } from 'node:fs'
import type { Schedule } from '#src/runtime/schedule.ts'

/** What may wait to be written, in bytes. A reader that stops reading must not fill the memory. */
const CAPACITY_BYTES = 4 * 1_048_576

/** How long an output that takes nothing (EAGAIN: a full pipe) or fails is left alone, in milliseconds. */
const RETRY_MS = 100

/**
 * Writes the lines of a log to a file descriptor, in the background. Whatever happens to the output, the process goes
 * on: a reader that went away (EPIPE), one that stopped reading, a full disk. What cannot be written waits, within
 * {@link CAPACITY_BYTES}, and is dropped beyond that.
 *
 * Not pino's own destination: its synchronous flush, which every fatal line triggers, never returns once the reader is
 * gone, and other errors than EPIPE end the process. Nor `process.stdout`: it blocks the thread while a pipe is full.
 */
export class LogOutput {
  readonly #fd: number
  readonly #schedule: Schedule
  readonly #onDropped: (count: number) => void
  #waiting: Buffer[] = []
  #waitingBytes = 0
  /** What is being written. */
  #chunk: Buffer | null = null
  #dropped = 0
  #whenFlushed: (() => void)[] = []

  /**
   * @param fd the file descriptor; 1 is standard output
   * @param onDropped hears how many lines were dropped, once the output takes lines again
   */
  constructor(fd: number, schedule: Schedule, onDropped: (count: number) => void) {
    this.#fd = fd
    this.#schedule = schedule
    this.#onDropped = onDropped
  }

  /** Adds text that ends with a line feed. */
  write(text: string): void {
    const bytes = Buffer.from(text)
    if (this.#waitingBytes + bytes.length > CAPACITY_BYTES) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#chunk === null) this.#next()
  }

  /** Resolves when everything is written, or cannot be now. */
  flush(): Promise<void> {
    if (this.#chunk === null) return Promise.resolve()
    return new Promise(resolve => this.#whenFlushed.push(resolve))
  }

  /**
   * Writes what waits before it returns, as far as the output takes it: for the end of the process. What is being
   * written in the background may be written twice.
   */
  flushSync(): void {
    try {
      for (let rest = this.#takeAll(); rest.length > 0; ) rest = rest.subarray(writeSync(this.#fd, rest))
    } catch {
      // There is nowhere left to say so.
    }
  }

  #takeAll(): Buffer {
    const all = Buffer.concat([...(this.#chunk === null ? [] : [this.#chunk]), ...this.#waiting])
    this.#waiting = []
    this.#waitingBytes = 0
    this.#chunk = null
    return all
  }

  #next() {
    if (this.#waiting.length === 0) {
      this.#flushed()
      return
    }
    this.#write(this.#takeAll())
  }

  #write(chunk: Buffer) {
    this.#chunk = chunk
    writeBytes(this.#fd, chunk, (error, written) => {
      // It was flushed meanwhile, as the process ends.
      if (this.#chunk !== chunk) return
      if (error) {
        this.#flushed()
        this.#schedule(RETRY_MS, () => this.#write(chunk))
        return
      }
      if (written < chunk.length) {
        this.#write(chunk.subarray(written))
        return
      }
      this.#chunk = null
      const dropped = this.#dropped
      this.#dropped = 0
      if (dropped > 0) this.#onDropped(dropped)
      if (this.#chunk === null) this.#next()
    })
  }

  #flushed() {
    for (const resolve of this.#whenFlushed.splice(0)) resolve()
  }
}
