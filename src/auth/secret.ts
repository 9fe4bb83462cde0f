import { hash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import type { Bytes } from '#src/runtime/units.ts'

/** A secret text. Printing, JSON and logs show only its class name. */
export abstract class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** Returns the text. */
  reveal(): string {
    return this.#text
  }

  toString() {
    return `[${this.constructor.name}]`
  }

  toJSON() {
    return this.toString()
  }

  [inspect.custom]() {
    return this.toString()
  }
}

/**
 * The lowercase hex SHA-256 of a secret, for storage. Headers reach Node as latin1, so text is encoded as such to
 * restore the bytes that were sent.
 */
export const sha256 = (secret: string): string =>
  // ASCII has the same bytes in UTF-8, which `hash` uses.
  hash('sha256', IS_ASCII.test(secret) ? secret : Buffer.from(secret, 'latin1'))

const IS_ASCII = /^[ -~]*$/

/** Preallocated buffers for texts of common length: allocation takes longer than the comparison. */
const BUFFER_LENGTH = 128
const [LEFT, RIGHT] = [Buffer.alloc(2 * BUFFER_LENGTH), Buffer.alloc(2 * BUFFER_LENGTH)]

/** Compares two texts in constant time: it depends on their lengths only. */
export function constantTimeEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  if (a.length > BUFFER_LENGTH) return timingSafeEqual(Buffer.from(a, 'utf16le'), Buffer.from(b, 'utf16le'))
  LEFT.fill(0).write(a, 'utf16le')
  RIGHT.fill(0).write(b, 'utf16le')
  return timingSafeEqual(LEFT, RIGHT)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** Returns random letters and digits, 5.95 bits each. */
export function randomAlphanumerics(length: number, random: (size: Bytes) => Buffer): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random(length)) {
      // 248 is the highest multiple of 62 in a byte. Higher bytes are rejected, because they would favour some
      // letters.
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62]
    }
  }
  return text
}
