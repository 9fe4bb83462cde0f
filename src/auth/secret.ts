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
export const sha256 = (secret: string): string => hash('sha256', Buffer.from(secret, 'latin1'))

/** Compares two texts in a time that depends on their lengths alone. */
export function equalSecrets(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
