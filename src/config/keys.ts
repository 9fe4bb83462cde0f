import { type Encryption, encryption } from '#src/auth/encryption.ts'
import type { Bytes } from '#src/runtime/units.ts'
import type { AppKey } from './app-key.ts'
import type { Config } from './config.ts'

/** What APP_KEY and APP_PREVIOUS_KEYS are for: the first key writes, all of them read. */
export interface Keys {
  encryption(): Encryption
  /** The texts of the keys, by which links are signed. */
  signing(): readonly [string, ...string[]]
}

/**
 * The keys of the configuration. A server always has one; without one its routes can be described and not used.
 */
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
      ready ??= encryption([first.bytes, ...previous.map(({ bytes }) => bytes)], random)
      return ready
    },
    signing() {
      const [first, ...previous] = all()
      return [first.text, ...previous.map(({ text }) => text)]
    },
  }
}
