import { setImmediate } from 'node:timers/promises'
import { foldPassword } from '#src/auth/guessable-password.ts'

/** Passwords folded per step: about a millisecond of the event loop. */
const BATCH_SIZE = 1_000

let loading: Promise<ReadonlySet<string>> | null = null

/**
 * Returns the 49,000 common passwords of `@zxcvbn-ts/language-common`, folded by {@link foldPassword}. Loads them at
 * the first call, in small steps.
 */
export function commonPasswords(): Promise<ReadonlySet<string>> {
  loading ??= load()
  return loading
}

async function load(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const common = new Set<string>()
  for (const [index, password] of dictionary['passwords-common'].entries()) {
    common.add(foldPassword(password))
    if (index % BATCH_SIZE === 0) await setImmediate()
  }
  return common
}
