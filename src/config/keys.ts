import { createEncryption, type Encryption } from '#src/auth/encryption.ts'
import type { Bytes } from '#src/runtime/units.ts'
import type { AppKey } from './app-key.ts'
import type { Config } from './config.ts'

/** The keys from APP_KEY and APP_PREVIOUS_KEYS: the first encrypts and signs, all decrypt and verify. */
export interface Keys {
  encryption(): Encryption
  /** The texts of the keys, which sign links. */
  signing(): readonly [string, ...string[]]
}

/** Creates the {@link Keys}. Without APP_KEY its methods throw; then routes can only be described. */
export function createKeys(
  { appKey, appPreviousKeys }: Pick<Config, 'appKey' | 'appPreviousKeys'>,
  random: (size: Bytes) => Buffer,
): Keys {
  const all = (): readonly [AppKey, ...AppKey[]] => {
    if (appKey === null) throw new Error('APP_KEY is not set.')
    return [appKey, ...appPreviousKeys]
  }
  let ready: Encryption | null = null
  return {
    encryption() {
      const [first, ...previous] = all()
      ready ??= createEncryption([first.bytes, ...previous.map(({ bytes }) => bytes)], random)
      return ready
    },
    signing() {
      const [first, ...previous] = all()
      return [first.text, ...previous.map(({ text }) => text)]
    },
  }
}
