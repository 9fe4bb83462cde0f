import type { FairQueue, QueuedCaller } from '#src/runtime/fair-queue.ts'
import { lazyPackage } from '#src/runtime/lazy-package.ts'
import type { Bytes } from '#src/runtime/units.ts'

// Native code, which only the worker threads and commands use.
const argon2 = lazyPackage<typeof import('@node-rs/argon2')>('@node-rs/argon2')
const bcrypt = lazyPackage<typeof import('@node-rs/bcrypt')>('@node-rs/bcrypt')

declare const passwordHash: unique symbol

/** A password hash in the form that PHP's password_hash writes. */
export type PasswordHash = string & { readonly [passwordHash]: true }

/** bcrypt ignores all bytes beyond this length. */
const MAX_PASSWORD_BYTES: Bytes = 72

/** Why a password cannot be hashed; null if it can. */
export function passwordFault(password: string): string | null {
  if (password === '') return 'must not be empty'
  if (password.includes('\0')) return 'must not contain a NUL character'
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    return `must not be longer than ${MAX_PASSWORD_BYTES} bytes`
  return null
}

/** A requirement that a new password does not meet. */
export type PasswordWeakness = 'short' | 'mixed' | 'letters' | 'symbols' | 'numbers'

/** The minimum length of a new password, in characters. */
export const MIN_PASSWORD_LENGTH = 8

/** From this length on a password needs no composition rules (NIST SP 800-63B). */
const LONG_PASSWORD_LENGTH = 15

/**
 * Checks a new password by AnimeThemes' rules, in Laravel's order: at least eight characters with a lowercase and an
 * uppercase letter, a symbol and a number, of any script. From fifteen characters on all compositions are accepted.
 */
export function passwordWeaknesses(password: string): PasswordWeakness[] {
  const { length } = [...password]
  if (length >= LONG_PASSWORD_LENGTH) return []
  const has = (characters: RegExp) => characters.test(password)
  const weaknesses: [PasswordWeakness, boolean][] = [
    ['short', length < MIN_PASSWORD_LENGTH],
    ['mixed', !has(/\p{Ll}/u) || !has(/\p{Lu}/u)],
    ['letters', !has(/\p{L}/u)],
    ['symbols', !has(/[\p{Z}\p{S}\p{P}]/u)],
    ['numbers', !has(/\p{N}/u)],
  ]
  return weaknesses.filter(([, isWeak]) => isWeak).map(([weakness]) => weakness)
}

/** bcrypt in PHP's `$2y$` format. */
const bcryptOptions = (rounds: number) => ({ cost: rounds, version: '2y' }) as const

/** @throws {RangeError} for a password that {@link passwordFault} rejects */
export function assertHashable(password: string): void {
  const fault = passwordFault(password)
  if (fault !== null) throw new RangeError(`The password ${fault}.`)
}

/**
 * Hashes a new password with bcrypt in PHP's `$2y$` format, off the event loop.
 *
 * @param rounds bcrypt's cost, the binary logarithm of the work
 * @throws {RangeError} for a password that {@link passwordFault} rejects
 */
export async function hashPassword(password: string, rounds: number): Promise<PasswordHash> {
  assertHashable(password)
  return (await bcrypt().hash(password, bcryptOptions(rounds))) as PasswordHash
}

/** Like {@link hashPassword}, but blocks the thread. */
export function hashPasswordSync(password: string, rounds: number): PasswordHash {
  assertHashable(password)
  return bcrypt().hashSync(password, bcryptOptions(rounds)) as PasswordHash
}

/**
 * Verifies a password against a hash of Laravel or this server: bcrypt (`$2y$`, `$2a$`, `$2b$`), argon2i or argon2id.
 * bcrypt compares the first 72 bytes, as PHP does. An unreadable hash matches no password. Blocks the thread.
 */
export function verifyPassword(password: string, hash: string): boolean {
  // PHP stops at a NUL, so "secret\0anything" would match the hash of "secret".
  if (password.includes('\0')) return false
  try {
    if (/^\$2[aby]\$/.test(hash)) return bcrypt().verifySync(password, hash)
    if (/^\$argon2(i|id)\$/.test(hash)) return argon2().verifySync(hash, password)
  } catch {
    return false
  }
  return false
}

/** The cost of a bcrypt hash; null for others. */
const bcryptCost = (hash: string): number | null => {
  const cost = /^\$2[aby]\$(\d\d)\$/.exec(hash)?.[1]
  return cost === undefined ? null : Number(cost)
}

/** Whether a hash should be upgraded: bcrypt with less work than configured. One with more work and argon2 stay. */
export function needsRehash(hash: string, rounds: number): boolean {
  const cost = bcryptCost(hash)
  return cost !== null && cost < rounds
}

/** A dummy bcrypt hash that no password matches, to equalize time. */
const dummyBcryptHash = (cost: number) => `$2y$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`

/** The parameters of an argon2 hash and its work (memory × passes); null for others. */
function parseArgonWork(hash: string): { parameters: string; work: number } | null {
  const [parameters, memory, passes] = /^\$argon2id?\$v=\d+\$m=(\d+),t=(\d+),p=\d+\$/.exec(hash) ?? []
  return parameters === undefined ? null : { parameters, work: Number(memory) * Number(passes) }
}

/** A dummy argon2 hash that no password matches: 16 zero bytes of salt and 32 of hash. */
const dummyArgonHash = (parameters: string) => `${parameters}${'A'.repeat(22)}$${'A'.repeat(43)}`

/** Hashes and verifies off the event loop. */
export interface PasswordWork {
  /** As {@link verifyPassword}. */
  verify(password: string, hash: string): Promise<boolean>
  /** As {@link hashPassword}. */
  hash(password: string, rounds: number): Promise<PasswordHash>
}

/** Hashes and verifies in slots of a queue. */
export interface PasswordHashing {
  /**
   * Verifies a password against a hash; null for an unknown user. A failure costs as much as the most expensive hash
   * of each kind that was verified so far, and at least the configured cost, so that the time reveals neither whether
   * there was a hash nor its kind. All of it takes one slot.
   *
   * @throws {TurnRefused} when the queue refuses the caller
   */
  verify(password: string, hash: string | null, caller: QueuedCaller): Promise<boolean>
  /**
   * Hashes a new password as {@link hashPassword} does.
   *
   * @throws {TurnRefused} when the queue refuses the caller
   */
  hash(password: string, caller: QueuedCaller): Promise<PasswordHash>
}

/**
 * Creates {@link PasswordHashing}.
 *
 * @param rounds bcrypt's cost of new hashes
 */
export function createPasswordHashing({
  rounds,
  queue,
  work,
}: {
  rounds: number
  queue: FairQueue
  work: PasswordWork
}): PasswordHashing {
  let maxRounds = rounds
  let maxArgon: ReturnType<typeof parseArgonWork> = null

  const verify = async (password: string, hash: string | null) => {
    const cost = bcryptCost(hash ?? '')
    const argon = parseArgonWork(hash ?? '')
    maxRounds = Math.max(maxRounds, cost ?? 0)
    if (argon !== null && argon.work > (maxArgon?.work ?? 0)) maxArgon = argon
    if (hash !== null && (await work.verify(password, hash))) return true
    // cost n takes 2^n: the costs from c to m-1 add 2^m - 2^c, which is what is missing.
    for (let dummyCost = cost ?? maxRounds; dummyCost < maxRounds; dummyCost++)
      await work.verify(password, dummyBcryptHash(dummyCost))
    if (cost === null) await work.verify(password, dummyBcryptHash(maxRounds))
    if (argon === null && maxArgon !== null) await work.verify(password, dummyArgonHash(maxArgon.parameters))
    return false
  }

  return {
    verify: (password, hash, caller) => queue.run(caller, () => verify(password, hash)),
    hash: (password, caller) => queue.run(caller, () => work.hash(password, rounds)),
  }
}
