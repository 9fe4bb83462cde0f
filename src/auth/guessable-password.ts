import { isIP } from 'node:net'
import anyAscii from 'any-ascii'
import { getDomainWithoutSuffix } from 'tldts'
import { isAscii } from './name.ts'
import { MIN_PASSWORD_LENGTH } from './password.ts'

/** Characters that stand for letters, by the letter; `l` and `i` are one, since `1`, `!` and `|` stand for both. */
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

/** The digits that share a key with a symbol, as American keyboards have them. */
const DIGIT_OF = new Map([...'!@#$%^&*()'].map((symbol, index) => [symbol, String((index + 1) % 10)]))

/** A character of a text that was folded. */
interface Folded {
  /** The letter or digit that it counts as; empty for a separator, which counts as nothing. */
  letter: string
  /** Whether it was written as a letter, and so is no decoration. */
  isLetter: boolean
}

/** The characters of a text, without case and diacritics (NFKD). */
const plainCharacters = (text: string) => [...text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()]

/** A symbol as the digit on the same key; all else as it is. */
const unshifted = (characters: string[]) => characters.map(character => DIGIT_OF.get(character) ?? character)

const folded = (characters: string[]): Folded[] =>
  characters.map(character => {
    const letter = LETTER_OF.get(character) ?? character
    return { letter: /[\p{L}\p{N}]/u.test(letter) ? letter : '', isLetter: /\p{L}/u.test(character) }
  })

const lettersOf = (text: readonly Folded[]) => text.map(({ letter }) => letter).join('')

/** A text as common passwords are compared: without case, diacritics and separators, and with letters for lookalikes. */
export const foldPassword = (text: string): string => lettersOf(folded(plainCharacters(text)))

/** Where the letters of a text begin and end; null if it has none. */
function lettersWithin(text: readonly Folded[]): [number, number] | null {
  const first = text.findIndex(({ isLetter }) => isLetter)
  return first === -1 ? null : [first, text.findLastIndex(({ isLetter }) => isLetter) + 1]
}

/** A text from its first letter to its last; all of it if it has none. */
const undecorated = (text: readonly Folded[]) => text.slice(...(lettersWithin(text) ?? []))

/** How many values a list repeats from its beginning to its end, the last time perhaps in part; null if it does not. */
function repeatedLength(values: readonly string[]): number | null {
  for (let size = 1; size * 2 <= values.length; size++) {
    if (values.every((value, index) => index < size || value === values[index - size])) return size
  }
  return null
}

/** What a text repeats; null if it repeats nothing. */
function repeatedPart(text: readonly Folded[]): readonly Folded[] | null {
  const size = repeatedLength(text.map(({ letter }) => letter))
  return size === null ? null : text.slice(0, size)
}

/** More digits and symbols around a word are no decoration: as random ones they would be a password by themselves. */
const MOST_DECORATION = 12

/**
 * Random characters look like a short word by chance: at least this many letters, those that were written as letters
 * counted twice. So three letters have to be written as such, and of four two.
 */
const LEAST_EVIDENCE = 6

/** Shorter words are in any text. */
const LEAST_WORD = 4

/** Shorter numbers are in any long one. */
const LEAST_NUMBER = 8

/** Whether characters around a word are decoration. */
const isDecorated = (word: string, around: number) =>
  word !== '' && around <= Math.min(MOST_DECORATION, 2 * word.length)

/** A text, and what is left of it when more or less decoration is taken from its ends. */
function* cores(text: readonly Folded[]): Generator<string> {
  const letters = text.filter(({ isLetter }) => isLetter).length
  const isWord = (core: string) =>
    letters > 0 ? core.length + letters >= LEAST_EVIDENCE : core.length >= LEAST_NUMBER
  const [first, last] = lettersWithin(text) ?? [text.length, 0]
  for (let start = 0; start <= first; start++) {
    for (let end = text.length; end >= last; end--) {
      const core = lettersOf(text.slice(start, end))
      const isWhole = end - start === text.length
      if ((isWhole || isWord(core)) && isDecorated(core, text.length - core.length)) yield core
    }
  }
}

/** Words that a text has more than once, in letters, and that are more than two thirds of it. */
function* repeatedWords(letters: string): Generator<string> {
  for (let start = 0; start < letters.length; start++) {
    for (let end = start + LEAST_WORD; end <= letters.length; end++) {
      const word = letters.slice(start, end)
      const between = letters.split(word)
      if (between.length < 3) break
      if (between.join('').length * 3 < letters.length) yield word
    }
  }
}

/** What a text may be besides decoration, repetitions and separators, in letters. */
function* essences(text: readonly Folded[]): Generator<string> {
  for (const part of [text, repeatedPart(text), repeatedPart(undecorated(text))]) {
    if (part !== null) yield* cores(part)
  }
  yield* repeatedWords(lettersOf(text))
}

/**
 * Whether a password is a common one, perhaps repeated, with other case, lookalikes (`P@ssw0rd`), symbols of the digits'
 * keys (`!QAZ2wsx`), separators, or digits and symbols around it.
 *
 * @param common common passwords as {@link foldPassword} folds them
 */
export function isCommonPassword(password: string, common: ReadonlySet<string>): boolean {
  const characters = plainCharacters(password)
  const forms = [characters, unshifted(characters), withoutRows(characters)]
  // Words of other scripts are in such lists as they are written in ASCII.
  if (!isAscii(password)) forms.push(plainCharacters(anyAscii(password)))
  for (const text of forms.map(folded)) {
    for (const essence of essences(text)) if (common.has(essence)) return true
  }
  return false
}

/** Characters of which the same digit or symbol in a row counts twice at most: as decoration it adds nothing more. */
const withoutRows = (characters: string[]) =>
  characters.filter(
    (character, index) =>
      /\p{L}/u.test(character) || character !== characters[index - 1] || character !== characters[index - 2],
  )

/** Lines of characters that people follow: the alphabet, digits, and rows and columns of keyboards. */
const LINES = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890',
  ...['qwertyuiop', 'asdfghjkl', 'zxcvbnm'],
  ...['qwertzuiop', 'yxcvbnm', 'azertyuiop', 'qsdfghjklm', 'wxcvbn'],
  ...['1qaz', '2wsx', '3edc', '4rfv', '5tgb', '6yhn', '7ujm', '8ik', '9ol'],
  ...['zse4', 'xdr5', 'cft6', 'vgy7', 'bhu8', 'nji9', 'mko0'],
  ...['абвгдежзийклмнопрстуфхцчшщъыьэюя', 'йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю'].map(line =>
    plainCharacters(line).join(''),
  ),
].flatMap(line => [line, [...line].reverse().join('')])

/** Shorter parts follow a line, or repeat another, by chance. */
const LEAST_PART = 3

/**
 * How many characters a password has when runs count as one character each: the same character again, characters along
 * a line of the alphabet or a keyboard, and what stood before in the password (as LZ77 compresses).
 */
export function effectiveLength(password: string): number {
  const characters = unshifted(plainCharacters(password))
  const text = characters.filter((character, index) => character !== characters[index - 1]).join('')
  // By where a part ends: the least length of all that is before.
  const lengths = Array.from({ length: text.length + 1 }, (_, end) => end)
  const shorten = (start: number, end: number) => {
    lengths[end] = Math.min(lengths[end] as number, (lengths[start] as number) + 1)
  }
  for (let start = 0; start < text.length; start++) {
    shorten(start, start + 1)
    for (let end = start + LEAST_PART; end <= text.length; end++) {
      const part = text.slice(start, end)
      if (text.indexOf(part) === start && !LINES.some(line => line.includes(part))) break
      shorten(start, end)
    }
  }
  return lengths.at(-1) as number
}

/** Whether runs and repetitions leave no more than half of a password, and fewer characters than any has to have. */
export function isRepetitive(password: string): boolean {
  const characters = plainCharacters(password)
  const once = characters.slice(0, repeatedLength(characters) ?? characters.length)
  const most = Math.min(MIN_PASSWORD_LENGTH - 1, Math.floor(characters.length / 2))
  if (effectiveLength(once.join('')) <= most) return true
  // Two runs by turns, such as 1a2b3c4d.
  const turns = [0, 1].map(turn => characters.filter((_, index) => index % 2 === turn).join(''))
  return turns.reduce((sum, run) => sum + effectiveLength(run), 0) <= most
}

/** Whom and what a new password must not be named after. */
export interface PasswordContext {
  /** The user's name. */
  name?: string | null | undefined
  /** The user's e-mail address. */
  email?: string | null | undefined
  /** The name of the site. */
  siteName: string
  /** The host of the site. */
  siteHost: string
}

/** What a password can be named after. */
export type Namesake = 'name' | 'email' | 'site'

/** Names may be much longer than any password before they are checked. */
const MOST_CHARACTERS = 255

/** The words of a text, and the text. */
const wordsOf = (text: string | null | undefined) => {
  const part = (text ?? '').slice(0, MOST_CHARACTERS)
  return [part, ...part.split(/[^\p{L}\p{M}\p{N}]+/u)]
}

/** A host, and what its owner is called in it: `example` of `api.example.org`. Addresses are nobody's name. */
const hostWords = (host: string) =>
  isIP(host.replace(/^\[|\]$/g, '')) === 0 ? [host, getDomainWithoutSuffix(host) ?? ''] : []

const emailWords = (email: string) => {
  const at = email.lastIndexOf('@')
  return at === -1
    ? wordsOf(email)
    : [email, ...wordsOf(email.slice(0, at)), ...hostWords(email.slice(at + 1))]
}

/**
 * What a password mostly consists of: the user's name or e-mail address, or the name of the site, or a part of one of
 * them. Case, lookalikes, separators and decoration make no difference. Null if it is none of these.
 */
export function namesakeOf(
  password: string,
  { name, email, siteName, siteHost }: PasswordContext,
): Namesake | null {
  const words: [Namesake, string[]][] = [
    ['name', wordsOf(name)],
    ['email', emailWords((email ?? '').slice(0, MOST_CHARACTERS))],
    ['site', [...wordsOf(siteName), ...hostWords(siteHost)]],
  ]
  const text = folded(withoutRows(plainCharacters(password)))
  const core = undecorated(text)
  // Names may end in more digits than a decoration has.
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
      const text = folded(plainCharacters(word))
      return [lettersOf(text), lettersOf(undecorated(text))]
    }),
  )
  names.delete('')
  if (names.has(letters)) return true
  if (letters.length < LEAST_WORD) return false
  const long = [...names].filter(name => name.length >= LEAST_WORD)
  if (long.some(name => name.includes(letters))) return true
  const rest = long
    .sort((a, b) => b.length - a.length)
    .reduce((left, name) => left.replaceAll(name, ''), letters)
  return rest.length * 2 < letters.length
}
