import { Expected } from './setting.ts'

/** APP_KEY as Laravel writes it: `base64:` before 32 bytes in base64, or 32 plain characters. */
export class AppKey {
  /** The text as configured: what Laravel signs URLs with. */
  readonly #text: string
  /** The 32 bytes behind it: what Laravel encrypts with. */
  readonly #bytes: Buffer

  constructor(text: string) {
    const bytes = text.startsWith('base64:') ? Buffer.from(text.slice(7), 'base64') : Buffer.from(text)
    if (bytes.length !== 32) {
      throw new Expected('base64: and then 32 bytes in base64 (make one with: openssl rand -base64 32)')
    }
    this.#text = text
    this.#bytes = bytes
  }

  get text() {
    return this.#text
  }

  get bytes() {
    return this.#bytes
  }

  /** Whether it repeats itself as no random key does: 32 random bytes hold about 30 different ones. */
  get isWeak() {
    return new Set(this.#bytes).size < 12
  }

  toJSON() {
    return '[secret]'
  }
}
