import { ExpectedValue } from './setting.ts'

const KEY_BYTES = 32

/** APP_KEY in Laravel's format: `base64:` and 32 bytes in base64, or 32 plain characters. */
export class AppKey {
  /** The text as configured, with which Laravel signs URLs. */
  readonly #text: string
  /** The 32 bytes, with which Laravel encrypts. */
  readonly #bytes: Buffer

  constructor(text: string) {
    const bytes = text.startsWith('base64:') ? Buffer.from(text.slice(7), 'base64') : Buffer.from(text)
    if (bytes.length !== KEY_BYTES) {
      throw new ExpectedValue(
        'base64: and then 32 bytes in base64 (make one with: npx animethemes-auth key generate)',
      )
    }
    this.#text = text
    this.#bytes = bytes
  }

  /** Creates the text of a new key; `random` returns that many random bytes. */
  static generate(random: (size: number) => Buffer): string {
    return `base64:${random(KEY_BYTES).toString('base64')}`
  }

  get text() {
    return this.#text
  }

  get bytes() {
    return this.#bytes
  }

  /** Whether it has too few distinct bytes for a random key: 32 random bytes have about 30. */
  get isWeak() {
    return new Set(this.#bytes).size < 12
  }

  toJSON() {
    return '[secret]'
  }
}
