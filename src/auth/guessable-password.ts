import { isIP } from 'node:net'
import { lazyPackage } from '#src/runtime/lazy-package.ts'
import { isAscii } from './name.ts'
import { MIN_PASSWORD_LENGTH } from './password.ts'
import { toAscii } from './to-ascii.ts'

const tldts = lazyPackage<typeof import('tldts')>('tldts')

/** Characters that replace letters, by letter. `l` and `i` are one letter, because `1`, `!` and `|` replace both. */
const LOOKALIKES: Record<string, string> = {
  a: '@4',
  b: '8',
  c: '(<',
  e: '3€',
  g: '69',
  i: 'l1!|',
  o: '0',
  s: '$5',
  t: '+7',
  z: '2',
}

const LETTER_OF = new Map(
  Object.entries(LOOKALIKES).flatMap(([letter, others]) =>
    [...others].map(other => [other, letter] as const),
  ),
)

/** The digit on the same key as a symbol, on US keyboards. */
const DIGIT_OF = new Map([...'!@#$%^&*()'].map((symbol, index) => [symbol, String((index + 1) % 10)]))

/** A character after folding. */
interface Folded {
  /** The letter or digit that it stands for; empty for a separator. */
  letter: string
  /** Whether it was written as a letter, and so is not decoration. */
  isLetter: boolean
}

/** The characters of text, without case and diacritics (NFKD). */
const normalizeCharacters = (text: string) => [...text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()]

/** Replaces symbols by the digits on the same keys. */
const unshiftSymbols = (characters: string[]) =>
  characters.map(character => DIGIT_OF.get(character) ?? character)

const fold = (characters: string[]): Folded[] =>
  characters.map(character => {
    const letter = LETTER_OF.get(character) ?? character
    return { letter: /[\p{L}\p{N}]/u.test(letter) ? letter : '', isLetter: /\p{L}/u.test(character) }
  })

const lettersOf = (text: readonly Folded[]) => text.map(({ letter }) => letter).join('')

/** Folds text as common passwords are compared: without case, diacritics and separators, lookalikes as letters. */
export const foldPassword = (text: string): string => lettersOf(fold(normalizeCharacters(text)))

/** The range from the first letter to the last one; null for text without letters. */
function lettersWithin(text: readonly Folded[]): [number, number] | null {
  const first = text.findIndex(({ isLetter }) => isLetter)
  return first === -1 ? null : [first, text.findLastIndex(({ isLetter }) => isLetter) + 1]
}

/** Text from its first letter to its last one; all of it if it has none. */
const trimDecoration = (text: readonly Folded[]) => text.slice(...(lettersWithin(text) ?? []))

/** The length of the unit that a list repeats from beginning to end, the last time perhaps in part; null for none. */
function repeatedLength(values: readonly string[]): number | null {
  for (let size = 1; size * 2 <= values.length; size++) {
    if (values.every((value, index) => index < size || value === values[index - size])) return size
  }
  return null
}

/** The unit that text repeats; null for none. */
function repeatedPart(text: readonly Folded[]): readonly Folded[] | null {
  const size = repeatedLength(text.map(({ letter }) => letter))
  return size === null ? null : text.slice(0, size)
}

/** The maximum decoration around a word: more random digits and symbols would be a password by themselves. */
const MAX_DECORATION = 12

/**
 * The minimum evidence for a short word, because random characters may look like one: the number of letters, those
 * written as letters counted twice.
 */
const MIN_EVIDENCE = 6

/** Shorter words occur in any text. */
const MIN_WORD = 4

/** Shorter numbers occur in any long number. */
const MIN_NUMBER = 8

/** Whether the characters around a word count as decoration. */
const isDecorated = (word: string, around: number) =>
  word !== '' && around <= Math.min(MAX_DECORATION, 2 * word.length)

/** Text, and what remains after removing more or less decoration from its ends. */
function* cores(text: readonly Folded[]): Generator<string> {
  const letters = text.filter(({ isLetter }) => isLetter).length
  const isWord = (core: string) =>
    letters > 0 ? core.length + letters >= MIN_EVIDENCE : core.length >= MIN_NUMBER
  const [first, last] = lettersWithin(text) ?? [text.length, 0]
  for (let start = 0; start <= first; start++) {
    for (let end = text.length; end >= last; end--) {
      const core = lettersOf(text.slice(start, end))
      const isWhole = end - start === text.length
      if ((isWhole || isWord(core)) && isDecorated(core, text.length - core.length)) yield core
    }
  }
}

/** Words that occur more than once and make up more than two thirds of the text. */
function* repeatedWords(letters: string): Generator<string> {
  for (let start = 0; start < letters.length; start++) {
    for (let end = start + MIN_WORD; end <= letters.length; end++) {
      const word = letters.slice(start, end)
      const between = letters.split(word)
      if (between.length < 3) break
      if (between.join('').length * 3 < letters.length) yield word
    }
  }
}

/** What text may consist of besides decoration, repetitions and separators, in letters. */
function* essences(text: readonly Folded[]): Generator<string> {
  for (const part of [text, repeatedPart(text), repeatedPart(trimDecoration(text))]) {
    if (part !== null) yield* cores(part)
  }
  yield* repeatedWords(lettersOf(text))
}

/**
 * Whether a password is a common one, possibly repeated, with other case, lookalikes (`P@ssw0rd`), symbols of digit
 * keys (`!QAZ2wsx`), separators, or digits and symbols around it.
 *
 * @param common common passwords, folded by {@link foldPassword}
 */
export function isCommonPassword(password: string, common: ReadonlySet<string>): boolean {
  const characters = normalizeCharacters(password)
  const forms = [characters, unshiftSymbols(characters), shortenRuns(characters)]
  // The lists contain words of other scripts in transliteration.
  if (!isAscii(password)) forms.push(normalizeCharacters(toAscii(password)))
  for (const text of forms.map(fold)) {
    for (const essence of essences(text)) if (common.has(essence)) return true
  }
  return false
}

/** Limits runs of the same digit or symbol to two: as decoration, more of them add nothing. */
const shortenRuns = (characters: string[]) =>
  characters.filter(
    (character, index) =>
      /\p{L}/u.test(character) || character !== characters[index - 1] || character !== characters[index - 2],
  )

/** Sequences that people follow: the alphabet, digits, rows and columns of keyboards. */
const SEQUENCES = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  ...['qwertyuiop', 'asdfghjkl', 'zxcvbnm'],
  ...['qwertzuiop', 'yxcvbnm', 'azertyuiop', 'qsdfghjklm', 'wxcvbn'],
  ...['1qaz', '2wsx', '3edc', '4rfv', '5tgb', '6yhn', '7ujm', '8ik', '9ol'],
  ...['zse4', 'xdr5', 'cft6', 'vgy7', 'bhu8', 'nji9', 'mko0'],
  ...['абвгдежзийклмнопрстуфхцчшщъыьэюя', 'йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю'].map(line =>
    normalizeCharacters(line).join(''),
  ),
].flatMap(line => [line, [...line].reverse().join('')])

/** Shorter parts follow a sequence, or repeat another part, by chance. */
const MIN_PART = 3

/**
 * The length of a password when each run counts as one character. Runs are the same character, characters along a
 * sequence of the alphabet or a keyboard, and repetitions of earlier parts (as in LZ77).
 */
export function effectiveLength(password: string): number {
  const characters = unshiftSymbols(normalizeCharacters(password))
  const text = characters.filter((character, index) => character !== characters[index - 1]).join('')
  // lengths[end] is the minimum for the first `end` characters (dynamic programming).
  const lengths = Array.from({ length: text.length + 1 }, (_, end) => end)
  const shorten = (start: number, end: number) => {
    lengths[end] = Math.min(lengths[end] as number, (lengths[start] as number) + 1)
  }
  for (let start = 0; start < text.length; start++) {
    shorten(start, start + 1)
    for (let end = start + MIN_PART; end <= text.length; end++) {
      const part = text.slice(start, end)
      if (text.indexOf(part) === start && !SEQUENCES.some(line => line.includes(part))) break
      shorten(start, end)
    }
  }
  return lengths.at(-1) as number
}

/** Whether the effective length is at most half of the password and below the minimum length. */
export function isRepetitive(password: string): boolean {
  const characters = normalizeCharacters(password)
  const once = characters.slice(0, repeatedLength(characters) ?? characters.length)
  const maxLength = Math.min(MIN_PASSWORD_LENGTH - 1, Math.floor(characters.length / 2))
  if (effectiveLength(once.join('')) <= maxLength) return true
  // Two interleaved runs, such as 1a2b3c4d.
  const turns = [0, 1].map(turn => characters.filter((_, index) => index % 2 === turn).join(''))
  return turns.reduce((sum, run) => sum + effectiveLength(run), 0) <= maxLength
}

/** What a new password must not be derived from. */
export interface PasswordContext {
  name?: string | null | undefined
  email?: string | null | undefined
  siteName: string
  siteHost: string
}

export type Namesake = 'name' | 'email' | 'site'

/** How much of a name is used: it may not have been validated yet. */
const MAX_CHARACTERS = 255

/** Text and its words. */
const splitWords = (text: string | null | undefined) => {
  const part = (text ?? '').slice(0, MAX_CHARACTERS)
  return [part, ...part.split(/[^\p{L}\p{M}\p{N}]+/u)]
}

/** A host and its registrable name: `example` of `api.example.org`. Empty for an IP address. */
const hostWords = (host: string) =>
  isIP(host.replace(/^\[|\]$/g, '')) === 0 ? [host, tldts().getDomainWithoutSuffix(host) ?? ''] : []

const emailWords = (email: string) => {
  const at = email.lastIndexOf('@')
  return at === -1
    ? splitWords(email)
    : [email, ...splitWords(email.slice(0, at)), ...hostWords(email.slice(at + 1))]
}

/**
 * Returns what a password mostly consists of: the user's name or e-mail address, the name of the site, or a part of
 * them. Case, lookalikes, separators and decoration are ignored. Null for none.
 */
export function findNamesake(
  password: string,
  { name, email, siteName, siteHost }: PasswordContext,
): Namesake | null {
  const words: [Namesake, string[]][] = [
    ['name', splitWords(name)],
    ['email', emailWords((email ?? '').slice(0, MAX_CHARACTERS))],
    ['site', [...splitWords(siteName), ...hostWords(siteHost)]],
  ]
  const text = fold(shortenRuns(normalizeCharacters(password)))
  const core = trimDecoration(text)
  // A name may end in more digits than decoration has.
  const candidates = [lettersOf(text), lettersOf(core)].filter(letters =>
    isDecorated(letters, text.length - letters.length),
  )
  const reversed = candidates.map(letters => [...letters].reverse().join(''))
  const isNamed = (of: string[]) => [...candidates, ...reversed].some(letters => isNamedAfter(letters, of))
  return words.find(([, of]) => isNamed(of))?.[0] ?? null
}

function isNamedAfter(letters: string, words: string[]): boolean {
  const names = new Set(
    words.flatMap(word => {
      const text = fold(normalizeCharacters(word))
      return [lettersOf(text), lettersOf(trimDecoration(text))]
    }),
  )
  names.delete('')
  if (names.has(letters)) return true
  if (letters.length < MIN_WORD) return false
  const long = [...names].filter(name => name.length >= MIN_WORD)
  if (long.some(name => name.includes(letters))) return true
  const rest = long
    .sort((a, b) => b.length - a.length)
    .reduce((left, name) => left.replaceAll(name, ''), letters)
  return rest.length * 2 < letters.length
}
