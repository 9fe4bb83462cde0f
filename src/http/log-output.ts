import { write as writeBytes, writeSync } from 'node:fs'
import type { Schedule } from '#src/runtime/schedule.ts'
import type { Bytes, Millis } from '#src/runtime/units.ts'

/** The size of the buffer. A reader that stops reading must not exhaust memory. */
const CAPACITY_BYTES: Bytes = 4 * 1_048_576

/** Waiting bytes that are written without waiting for further lines. */
const CHUNK_BYTES: Bytes = 65_536

/** How long a line waits for others. Each write costs a system call and a turn of a thread of libuv's pool. */
const COLLECT_MS: Millis = 4

/** The delay before a failed write is retried, such as after EAGAIN from a full pipe. */
const RETRY_MS: Millis = 100

/**
 * Writes log lines to a file descriptor asynchronously, several with each write. Errors of the output never stop the
 * process: a closed reader (EPIPE), a stalled reader, a full disk. Unwritten lines are buffered up to
 * {@link CAPACITY_BYTES}; further ones are dropped.
 *
 * Why not pino's destination: every fatal line triggers its synchronous flush, which never returns after EPIPE, and other
 * errors end the process. Why not `process.stdout`: it blocks the event loop while a pipe is full.
 */
export class LogOutput {
  readonly #fd: number
  readonly #schedule: Schedule
  readonly #onDropped: (count: number) => void
  /** The lines that no write has taken yet. */
  #waiting = ''
  #waitingBytes = 0
  /** Whether a write of the waiting lines is scheduled. */
  #isScheduled = false
  /** The bytes of the write in progress. */
  #chunk: Buffer | null = null
  #dropped = 0
  #whenFlushed: (() => void)[] = []

  /**
   * @param fd the file descriptor; 1 is standard output
   * @param onDropped is called with the number of dropped lines, when the output works again
   */
  constructor(fd: number, schedule: Schedule, onDropped: (count: number) => void) {
    this.#fd = fd
    this.#schedule = schedule
    this.#onDropped = onDropped
  }

  /** Queues text that ends with a line feed. */
  write(text: string): void {
    const size = Buffer.byteLength(text)
    if (this.#waitingBytes + size > CAPACITY_BYTES) {
      this.#dropped += 1
      return
    }
    this.#waiting += text
    this.#waitingBytes += size
    if (this.#chunk !== null) return
    if (this.#waitingBytes >= CHUNK_BYTES) this.#next()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      this.#schedule(COLLECT_MS, this.#collected)
    }
  }

  /** Resolves when everything is written, or a write has failed. */
  flush(): Promise<void> {
    if (this.#chunk === null) this.#next()
    if (this.#chunk === null) return Promise.resolve()
    return new Promise(resolve => this.#whenFlushed.push(resolve))
  }

  /**
   * Writes the buffer synchronously, as far as the output accepts it: for the end of the process. The chunk of a write in
   * progress may be written twice.
   */
  flushSync(): void {
    try {
      for (let rest = this.#takeAll(); rest.length > 0; ) rest = rest.subarray(writeSync(this.#fd, rest))
    } catch {
      // There is no output left to report it to.
    }
  }

  readonly #collected = () => {
    this.#isScheduled = false
    if (this.#chunk === null) this.#next()
  }

  #takeWaiting(): Buffer {
    const bytes = Buffer.from(this.#waiting)
    this.#waiting = ''
    this.#waitingBytes = 0
    return bytes
  }

  #takeAll(): Buffer {
    const waiting = this.#takeWaiting()
    const all = this.#chunk === null ? waiting : Buffer.concat([this.#chunk, waiting])
    this.#chunk = null
    return all
  }

  #next() {
    if (this.#waiting === '') this.#flushed()
    else this.#write(this.#takeWaiting())
  }

  #write(chunk: Buffer) {
    this.#chunk = chunk
    writeBytes(this.#fd, chunk, (error, written) => {
      // flushSync() took the chunk in the meantime.
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
      // onDropped() may have written lines, which may have started a write.
      if (this.#chunk === null) this.#next()
    })
  }

  #flushed() {
    for (const resolve of this.#whenFlushed.splice(0)) resolve()
  }
}
