import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import type { Bytes } from '#src/runtime/units.ts'
import { constantTimeEqual } from './secret.ts'

const CIPHER = 'aes-256-cbc'
const IV_BYTES = 16

/** The longest payload that is parsed, in characters: far more than any stored value. */
const MAX_PAYLOAD = 65_536

/** Encrypts text as Laravel's encrypted model columns do. */
export interface Encryption {
  /** Encrypts text with the first key. */
  encrypt(text: string): string
  /** Decrypts what {@link Encryption.encrypt} or Laravel wrote; null if no key authenticates it. */
  decrypt(payload: string): string | null
}

/**
 * Laravel's envelope: AES-256-CBC and an HMAC-SHA256 of IV and ciphertext (encrypt-then-MAC), verified before
 * decryption. The plain text is serialized by PHP; only strings are read.
 *
 * @param keys 32 bytes each: the first encrypts, all decrypt
 */
export function createEncryption(
  keys: readonly [Buffer, ...Buffer[]],
  random: (size: Bytes) => Buffer,
): Encryption {
  return {
    encrypt(text) {
      const bytes = random(IV_BYTES)
      const cipher = createCipheriv(CIPHER, keys[0], bytes)
      const value = Buffer.concat([cipher.update(serialize(text)), cipher.final()]).toString('base64')
      const iv = bytes.toString('base64')
      const envelope = { iv, value, mac: computeMac(keys[0], iv, value), tag: '' }
      return Buffer.from(JSON.stringify(envelope)).toString('base64')
    },
    decrypt(payload) {
      const envelope = parseEnvelope(payload)
      if (envelope === null) return null
      const { iv, value, mac } = envelope
      const key = keys.find(candidate => constantTimeEqual(computeMac(candidate, iv, value), mac))
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

const computeMac = (key: Buffer, iv: string, value: string) =>
  createHmac('sha256', key).update(iv).update(value).digest('hex')

function parseEnvelope(payload: string): { iv: string; value: string; mac: string } | null {
  if (payload.length > MAX_PAYLOAD) return null
  try {
    const envelope: unknown = JSON.parse(Buffer.from(payload, 'base64').toString())
    const { iv, value, mac, tag = '' } = envelope as Record<string, unknown>
    const isWhole = typeof iv === 'string' && typeof value === 'string' && typeof mac === 'string'
    // A tag belongs to AEAD ciphers. Beside a MAC it could make one cipher pass for the other.
    if (!isWhole || tag !== '' || Buffer.from(iv, 'base64').length !== IV_BYTES) return null
    return { iv, value, mac }
  } catch {
    return null
  }
}

/** A string in the format of PHP's `serialize`. Its length is in bytes. */
const serialize = (text: string) => `s:${Buffer.byteLength(text)}:"${text}";`

/** Parses a serialized string; null for all other types, objects above all (PHP object injection). */
function unserialize(bytes: Buffer): string | null {
  const [head = '', length] = /^s:(\d{1,6}):"/.exec(bytes.toString('latin1', 0, 16)) ?? []
  const end = head.length + Number(length)
  if (length === undefined || bytes.toString('latin1', end) !== '";') return null
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(head.length, end))
}
