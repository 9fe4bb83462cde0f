import { verifySync as verifyArgon } from '@node-rs/argon2'
import { hash as hashBcrypt, hashSync as hashBcryptSync, verifySync as verifyBcrypt } from '@node-rs/bcrypt'
import type { FairQueue, QueuedCaller } from '#src/runtime/fair-queue.ts'

declare const passwordHash: unique symbol

/** A password hash in the form that PHP's password_hash writes. */
export type PasswordHash = string & { readonly [passwordHash]: true }

/** bcrypt reads no further: what lies behind would protect nothing. */
const MAX_PASSWORD_BYTES = 72

/** Why a password cannot be anybody's new one; null when it can. */
export function passwordFault(password: string): string | null {
  if (password === '') return 'must not be empty'
  if (password.includes('\0')) return 'must not contain a NUL character'
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    return `must not be longer than ${MAX_PASSWORD_BYTES} bytes`
  return null
}

/** What a new password can lack. */
export type PasswordWeakness = 'short' | 'mixed' | 'letters' | 'symbols' | 'numbers'

/** The fewest characters of a new password. */
export const MIN_PASSWORD_LENGTH = 8

/** From this many characters on length is enough: NIST SP 800-63B asks for no other composition at all. */
const LONG_PASSWORD_LENGTH = 15

/**
 * What keeps a text from being a new password by AnimeThemes' rules, in the order in which Laravel tells it: at least
 * eight characters, a lowercase and an uppercase letter, a symbol and a number, of whatever script. From fifteen
 * characters on they may be any.
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

/** How bcrypt hashes new passwords: in the `$2y$` form that PHP recognises. */
const bcryptOptions = (rounds: number) => ({ cost: rounds, version: '2y' }) as const

/** @throws {RangeError} for a password that {@link passwordFault} rejects */
export function assertPossible(password: string): void {
  const fault = passwordFault(password)
  if (fault !== null) throw new RangeError(`The password ${fault}.`)
}

/**
 * Hashes a new password with bcrypt, in the `$2y$` form that PHP recognises, off the event loop.
 *
 * @param rounds bcrypt's cost, the binary logarithm of the work
 * @throws {RangeError} for a password that {@link passwordFault} rejects
 */
export async function hashPassword(password: string, rounds: number): Promise<PasswordHash> {
  assertPossible(password)
  return (await hashBcrypt(password, bcryptOptions(rounds))) as PasswordHash
}

/** Does the same as {@link hashPassword}, and blocks the thread meanwhile. */
export function hashPasswordSync(password: string, rounds: number): PasswordHash {
  assertPossible(password)
  return hashBcryptSync(password, bcryptOptions(rounds)) as PasswordHash
}

/**
 * Whether a password belongs to a hash that Laravel or we wrote: bcrypt (`$2y$`, `$2a$`, `$2b$`), argon2i or
 * argon2id. bcrypt compares the first 72 bytes, as PHP does. Whatever cannot be read matches nothing. Blocks the
 * thread meanwhile.
 */
export function verifyPassword(password: string, hash: string): boolean {
  // PHP stops at a NUL, and so "secret\0anything" would open what "secret" opens.
  if (password.includes('\0')) return false
  try {
    if (/^\$2[aby]\$/.test(hash)) return verifyBcrypt(password, hash)
    if (/^\$argon2(i|id)\$/.test(hash)) return verifyArgon(hash, password)
  } catch {
    return false
  }
  return false
}

/** The cost of a bcrypt hash; null for other hashes. */
const bcryptCost = (hash: string): number | null => {
  const cost = /^\$2[aby]\$(\d\d)\$/.exec(hash)?.[1]
  return cost === undefined ? null : Number(cost)
}

/**
 * Whether a hash is to be replaced, now that its password is known: bcrypt with less work than is configured.
 * One with more work stays, and so does argon2.
 */
export function isWeaker(hash: string, rounds: number): boolean {
  const cost = bcryptCost(hash)
  return cost !== null && cost < rounds
}

/** A bcrypt hash that no password has, for work that leads to nothing. */
const bcryptOfNobody = (cost: number) => `$2y$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`

/** The parameters of an argon2 hash, and its work, as memory and passes tell it; null for other hashes. */
function argonWork(hash: string): { parameters: string; work: number } | null {
  const [parameters, memory, passes] = /^\$argon2id?\$v=\d+\$m=(\d+),t=(\d+),p=\d+\$/.exec(hash) ?? []
  return parameters === undefined ? null : { parameters, work: Number(memory) * Number(passes) }
}

/** An argon2 hash that no password has, with a salt of 16 bytes and 32 more, all of them nought. */
const argonOfNobody = (parameters: string) => `${parameters}${'A'.repeat(22)}$${'A'.repeat(43)}`

/** What does the work of passwords, off the event loop. */
export interface PasswordWork {
  /** As {@link verifyPassword}. */
  verify(password: string, hash: string): Promise<boolean>
  /** As {@link hashPassword}. */
  hash(password: string, rounds: number): Promise<PasswordHash>
}

/** Checks and hashes passwords, in turns. */
export interface Passwords {
  /**
   * Whether a password belongs to a hash; null is nobody's. What fails costs the most work of each kind of hash that
   * was met so far, and of the configured cost at least, so that the time does not tell whether there was a hash, nor
   * which. All of this is one turn.
   *
   * @throws {TurnRefused} when the caller gets no turn
   */
  verify(password: string, hash: string | null, caller: QueuedCaller): Promise<boolean>
  /**
   * Hashes a new password as {@link hashPassword} does.
   *
   * @throws {TurnRefused} when the caller gets no turn
   */
  hash(password: string, caller: QueuedCaller): Promise<PasswordHash>
}

/**
 * Checks and hashes passwords, in turns of a queue.
 *
 * @param rounds bcrypt's cost of new hashes
 */
export function passwords({
  rounds,
  queue,
  work,
}: {
  rounds: number
  queue: FairQueue
  work: PasswordWork
}): Passwords {
  let mostRounds = rounds
  let mostArgon: ReturnType<typeof argonWork> = null

  const verify = async (password: string, hash: string | null) => {
    const cost = bcryptCost(hash ?? '')
    const argon = argonWork(hash ?? '')
    mostRounds = Math.max(mostRounds, cost ?? 0)
    if (argon !== null && argon.work > (mostArgon?.work ?? 0)) mostArgon = argon
    if (hash !== null && (await work.verify(password, hash))) return true
    // The costs from a lower one up to the last but one add up to what is missing.
    for (let more = cost ?? mostRounds; more < mostRounds; more++)
      await work.verify(password, bcryptOfNobody(more))
    if (cost === null) await work.verify(password, bcryptOfNobody(mostRounds))
    if (argon === null && mostArgon !== null) await work.verify(password, argonOfNobody(mostArgon.parameters))
    return false
  }

  return {
    verify: (password, hash, caller) => queue.run(caller, () => verify(password, hash)),
    hash: (password, caller) => queue.run(caller, () => work.hash(password, rounds)),
  }
}
