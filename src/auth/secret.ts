import { hash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

/** A text that is in memory only: it prints as its own name, in JSON and in logs too. */
export abstract class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text, for the one answer that hands it out. */
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
 * The lowercase hex SHA-256 of a secret, the form in which it is stored. Headers reach Node as latin1, and so
 * the bytes are those that were sent.
 */
export const sha256 = (secret: string): string =>
  // ASCII is the same in UTF-8, as which texts are hashed.
  hash('sha256', IS_ASCII.test(secret) ? secret : Buffer.from(secret, 'latin1'))

const IS_ASCII = /^[ -~]*$/

/** Room for two texts of a length that most have: making buffers takes longer than comparing them. */
const ROOM = 128
const [LEFT, RIGHT] = [Buffer.alloc(2 * ROOM), Buffer.alloc(2 * ROOM)]

/** Compares two texts in a time that depends on their lengths alone. */
export function equalSecrets(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  if (a.length > ROOM) return timingSafeEqual(Buffer.from(a, 'utf16le'), Buffer.from(b, 'utf16le'))
  LEFT.fill(0).write(a, 'utf16le')
  RIGHT.fill(0).write(b, 'utf16le')
  return timingSafeEqual(LEFT, RIGHT)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/**
 * A text of random letters and digits, 5.95 bits each.
 *
 * @param random returns that many random bytes
 */
export function randomAlphanumerics(length: number, random: (size: number) => Buffer): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random(length)) {
      // 248 is the highest multiple of 62 in a byte: beyond it the first letters would come up more often.
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62]
    }
  }
  return text
}
