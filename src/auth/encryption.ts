import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import { equalSecrets } from './secret.ts'

const CIPHER = 'aes-256-cbc'
const IV_BYTES = 16

/** Far more than anything that is kept this way, and little enough to be looked at. */
const MAX_PAYLOAD = 65_536

/** Encrypts texts as Laravel does for the columns of a model. */
export interface Encryption {
  /** A text that only a holder of the key can read or change. */
  encrypt(text: string): string
  /** Reads what {@link Encryption.encrypt} or Laravel wrote; null for whatever none of the keys has signed. */
  decrypt(payload: string): string | null
}

/**
 * Laravel's envelope: AES-256-CBC, and HMAC-SHA256 over what came of it. It is authenticated before anything is
 * decrypted. The text inside is serialised by PHP, of whose values strings alone are read.
 *
 * @param keys 32 bytes each: the first encrypts, all of them decrypt
 * @param random returns that many random bytes
 */
export function encryption(
  keys: readonly [Buffer, ...Buffer[]],
  random: (size: number) => Buffer,
): Encryption {
  return {
    encrypt(text) {
      const bytes = random(IV_BYTES)
      const cipher = createCipheriv(CIPHER, keys[0], bytes)
      const value = Buffer.concat([cipher.update(serialize(text)), cipher.final()]).toString('base64')
      const iv = bytes.toString('base64')
      const envelope = { iv, value, mac: macOf(keys[0], iv, value), tag: '' }
      return Buffer.from(JSON.stringify(envelope)).toString('base64')
    },
    decrypt(payload) {
      const envelope = parseEnvelope(payload)
      if (envelope === null) return null
      const { iv, value, mac } = envelope
      const key = keys.find(candidate => equalSecrets(macOf(candidate, iv, value), mac))
      if (key === undefined) return null
      try {
        const decipher = createDecipheriv(CIPHER, key, Buffer.from(iv, 'base64'))
        return unserialize(Buffer.concat([decipher.update(value, 'base64'), decipher.final()]))
      } catch {
        return null
      }
    },
  }
}

const macOf = (key: Buffer, iv: string, value: string) =>
  createHmac('sha256', key).update(iv).update(value).digest('hex')

function parseEnvelope(payload: string): { iv: string; value: string; mac: string } | null {
  if (payload.length > MAX_PAYLOAD) return null
  try {
    const envelope: unknown = JSON.parse(Buffer.from(payload, 'base64').toString())
    const { iv, value, mac, tag = '' } = envelope as Record<string, unknown>
    const isWhole = typeof iv === 'string' && typeof value === 'string' && typeof mac === 'string'
    // A tag belongs to other ciphers, and one beside a MAC is an attempt to pass for either.
    if (!isWhole || tag !== '' || Buffer.from(iv, 'base64').length !== IV_BYTES) return null
    return { iv, value, mac }
  } catch {
    return null
  }
}

/** A string as PHP's `serialize` writes it: its length is in bytes. */
const serialize = (text: string) => `s:${Buffer.byteLength(text)}:"${text}";`

/** Reads such a string; null for every other kind of value, an object above all. */
function unserialize(bytes: Buffer): string | null {
  const [head = '', length] = /^s:(\d{1,6}):"/.exec(bytes.toString('latin1', 0, 16)) ?? []
  const end = head.length + Number(length)
  if (length === undefined || bytes.toString('latin1', end) !== '";') return null
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(head.length, end))
}
