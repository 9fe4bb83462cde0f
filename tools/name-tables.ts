import { readFileSync } from 'node:fs'

/**
 * Prints src/auth/name-tables.ts, the tables for comparing user names, from the Unicode Consortium's confusables.txt
 * and the root collation of Node's ICU: `node dist/tools/name-tables.js confusables.txt`.
 */

const [file] = process.argv.slice(2)
if (file === undefined) {
  console.error(
    'Name confusables.txt, from the folder of the Unicode version at unicode.org/Public/security/.',
  )
  process.exit(1)
}

const hex = (text: string) => Array.from(text, char => (char.codePointAt(0) as number).toString(16)).join('+')

/** Returns whether a code point can be in a user name after NFKD or NFD. */
const isOfNames = (char: string) => /[\p{L}\p{M}\p{N}_-]/u.test(char)

/** Formats lines of a target and the characters that map to it. */
function linesOf(pairs: ReadonlyMap<string, string>): string[] {
  const sources = new Map<string, string[]>()
  for (const [source, target] of pairs) sources.set(target, [...(sources.get(target) ?? []), source])
  return [...sources].map(([target, chars]) => `${hex(target)}=${chars.map(hex).join(' ')}`).sort()
}

const source = readFileSync(file, 'utf8')
const version = /^# Version: (\S+)/m.exec(source)?.[1]
const total = Number(/^# total: (\d+)/m.exec(source)?.[1])

const confusables = new Map<string, string>()
let read = 0
for (const [, from = '', to = ''] of source.matchAll(/^\ufeff?([\dA-F]+) ;\t([\dA-F ]+) ;\tMA\t/gm)) {
  read += 1
  const char = String.fromCodePoint(Number.parseInt(from, 16))
  const target = to
    .split(' ')
    .map(code => String.fromCodePoint(Number.parseInt(code, 16)))
    .join('')
  if (isOfNames(char)) confusables.set(char, target)
}
if (version === undefined || read !== total) {
  console.error(`${file}: read ${read} of ${total} mappings. It is not a complete confusables.txt.`)
  process.exit(1)
}

/** Compares by primary weights only: accents, case and width are ignored. */
const { compare } = new Intl.Collator('und', { sensitivity: 'base', ignorePunctuation: false })

const everyChar = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter(code => code < 0xd800 || code > 0xdfff)
  .map(code => String.fromCodePoint(code))

const ignored = new Set(
  everyChar.filter(
    char => /(?=\p{M})\P{Default_Ignorable_Code_Point}/u.test(char) && compare(`a${char}`, 'a') === 0,
  ),
)

/** Folds a text as src/auth/name.ts does before it uses this table. */
const fold = (text: string) =>
  removeIgnored(removeIgnored(text.normalize('NFKD')).toUpperCase().toLowerCase().normalize('NFKD'))
const removeIgnored = (text: string) => [...text].filter(char => !ignored.has(char)).join('')

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz']
const pairs = LETTERS.flatMap(first => LETTERS.map(second => first + second))
const bases = new Set([
  ...LETTERS,
  ...pairs,
  ...pairs.flatMap(pair => LETTERS.map(third => pair + third)),
  // Ideographs and Hangul have their own weights.
  ...everyChar
    .filter(char => /(?=[\p{L}\p{N}])[^\p{Script=Han}\p{Script=Hangul}\p{Script=Tangut}]/u.test(char))
    .map(fold)
    .filter(text => text !== ''),
])
const isPlain = (text: string) => /^[ -~]*$/.test(text)
/** Orders equal texts by preference as representative: ASCII, then the shortest, then code point order. */
const before = (a: string, b: string) =>
  Number(isPlain(b)) - Number(isPlain(a)) || [...a].length - [...b].length || (a < b ? -1 : 1)

const equals = new Map<string, string>()
const sorted = [...bases].sort((a, b) => compare(a, b) || before(a, b))
let first = ''
for (const text of sorted) {
  if (first === '' || compare(first, text) !== 0) first = text
  else if ([...text].length === 1 && !isPlain(text)) equals.set(text, first)
}

/** Formats code points as ranges. */
function ranges(chars: ReadonlySet<string>): string {
  const spans: [number, number][] = []
  for (const char of chars) {
    const code = char.codePointAt(0) as number
    const span = spans.at(-1)
    if (span !== undefined && span[1] === code - 1) span[1] = code
    else spans.push([code, code])
  }
  return spans
    .map(([from, to]) => (from === to ? from.toString(16) : `${from.toString(16)}-${to.toString(16)}`))
    .join(' ')
}

const constant = (about: string, name: string, lines: readonly string[]) =>
  [`/** ${about} */`, `export const ${name} = \``, ...lines, '`'].join('\n')

console.log(`// Made by "make name-tables" from Unicode's confusables.txt ${version} and the root collation of ICU ${process.versions.icu}
// (Unicode ${process.versions.unicode}). Data: Copyright © 1991-present Unicode, Inc., under the Unicode License V3, see
// https://www.unicode.org/license.txt. Do not edit.
//
// All of it in hexadecimal code points, + between those of one text.

${constant('Lines of a prototype (UTS 39 §4) and the characters that are confusable with it: those of names alone.', 'CONFUSABLES', linesOf(confusables))}

${constant('Lines of a text and the characters of the same primary weights (UTS 10), once case, width and marks are gone.', 'SAME_WEIGHT', linesOf(equals))}

${constant('Marks without a primary weight, as ranges.', 'WEIGHTLESS', [ranges(ignored)])}`)
