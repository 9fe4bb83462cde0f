import { lazy } from '#src/runtime/lazy.ts'
import { indexKey } from './index-key.ts'
import { CONFUSABLES, SAME_WEIGHT, WEIGHTLESS } from './name-tables.ts'

/** A text without what Unicode says to show as nothing (DerivedCoreProperties, Default_Ignorable_Code_Point). */
export const withoutInvisible = (text: string): string =>
  text.replace(/\p{Default_Ignorable_Code_Point}/gu, '')

/**
 * Whether nothing of a text can be seen, or only marks that have nothing to stand on. The last are characters that have
 * another category: BRAILLE PATTERN BLANK, OBJECT REPLACEMENT CHARACTER, MUSICAL SYMBOL NULL NOTEHEAD and EGYPTIAN
 * HIEROGLYPH FULL and HALF BLANK.
 */
export const showsNothing = (text: string): boolean =>
  /^[\s\p{Z}\p{M}\p{Cc}\p{Cf}\p{Co}\p{Noncharacter_Code_Point}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]*$/u.test(
    text,
  )

/** Scripts in which ZERO WIDTH JOINER and NON-JOINER tell words apart or choose how letters join. */
const JOINING = [
  ...['Adlam', 'Arabic', 'Balinese', 'Bengali', 'Brahmi', 'Chakma', 'Devanagari', 'Grantha', 'Gujarati'],
  ...['Gurmukhi', 'Hanifi_Rohingya', 'Javanese', 'Kaithi', 'Kannada', 'Khmer', 'Malayalam', 'Mandaic'],
  ...['Manichaean', 'Meetei_Mayek', 'Mongolian', 'Myanmar', 'Newa', 'Nko', 'Oriya', 'Phags_Pa', 'Sharada'],
  ...['Sinhala', 'Syriac', 'Takri', 'Tamil', 'Telugu', 'Tirhuta'],
]
const JOINED = `(?=[\\p{L}\\p{M}])[${JOINING.map(script => `\\p{Script_Extensions=${script}}`).join('')}]`

/** An emoji (UTS 51) of one picture: with one selector or skin colour, or the tags of a region's flag. */
const EMOJI = [
  '\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{3,6}\\u{e007f}',
  '\\p{Extended_Pictographic}(?:\\p{Emoji_Modifier}|[\\ufe0e\\ufe0f])?',
].join('|')

/** Invisible characters that mean something where they stand, alone or with what they stand in; then all others. */
const INVISIBLE = new RegExp(
  [
    `((?:${EMOJI})(?:\\u200d(?:${EMOJI}))*)`,
    '([0-9#*]\\ufe0f?\\u20e3)',
    `(?<=${JOINED})([\\u200c\\u200d])\\p{Default_Ignorable_Code_Point}*(?=${JOINED})`,
    // Chillus as they were written before they had characters of their own.
    '(?<=[\\u0d15\\u0d23\\u0d28\\u0d30\\u0d32\\u0d33]\\u0d4d)(\\u200d)',
    // Free variation selectors, the vowel separator, and which form of an ideograph is meant (UTS 37).
    '(?<=(?=\\p{L})\\p{Script=Mongolian})([\\u180b-\\u180f])',
    '(?<=\\p{Unified_Ideograph})([\\ufe00-\\ufe02\\u{e0100}-\\u{e01ef}])',
    '\\p{Default_Ignorable_Code_Point}',
  ].join('|'),
  'gu',
)

/** Longer texts are refused for their length, as they are. */
const MAX_TITLE = 10_000

/**
 * A title as it is kept: without invisible characters, but for those that mean something, which are joiners, selectors
 * and tags within emoji, joiners between letters of scripts that join, and selectors of Mongolian letters and of
 * ideographs. Directional overrides and isolates go with the rest. Empty for one that shows nothing.
 */
export function visibleTitle(text: string): string {
  if (text.length > MAX_TITLE) return text
  const title = text
    .replace(INVISIBLE, (_, ...groups) => groups.slice(0, 6).find(kept => kept !== undefined) ?? '')
    .trim()
  return showsNothing(title) ? '' : title
}

/** Whether a name is another one in other letters: in case, accents or width. */
export const isSameName = (name: string, other: string | undefined): boolean =>
  other !== undefined && nameKeys(name).key === nameKeys(other).key

/** By which user names are compared. Names that are equal in either are one name. */
export interface NameKeys {
  /** Equal for names that differ in case, accents or width alone. */
  key: string
  /** Equal for names that look alike; it counts where one of two names has characters beyond ASCII. */
  skeleton: string
}

const textOf = (codes: string) =>
  codes
    .split('+')
    .map(code => String.fromCodePoint(Number.parseInt(code, 16)))
    .join('')

/** The lines of a generated table, as what each character becomes. */
const tableOf = (lines: string): Map<string, string> =>
  new Map(
    lines
      .trim()
      .split('\n')
      .flatMap(line => {
        const [target = '', sources = ''] = line.split('=')
        return sources.split(' ').map(source => [textOf(source), textOf(target)] as const)
      }),
  )

/** The tables that names are compared by, read when a name is first beyond ASCII. */
const tables = lazy(() => ({
  confusables: tableOf(CONFUSABLES),
  sameWeight: tableOf(SAME_WEIGHT),
  weightless: new RegExp(
    `[${WEIGHTLESS.trim()
      .replace(/[\da-f]+/g, code => `\\u{${code}}`)
      .replaceAll(' ', '')}]`,
    'gu',
  ),
}))

/** Whether a text has no characters beyond ASCII: then its looks tell it from others that have none. */
export const isAscii = (text: string): boolean => /^[ -~]*$/.test(text)

const replaced = (text: string, table: ReadonlyMap<string, string>) =>
  Array.from(text, char => table.get(char) ?? char).join('')

/** Full case folding, by way of capitals: ß is ss. */
const caseFolded = (text: string) => text.toUpperCase().toLowerCase()

/** A text without case, width and marks: its primary weights in the root collation (UTS 10), as letters. */
function collationKey(text: string): string {
  if (isAscii(text)) return text.toLowerCase()
  const { sameWeight, weightless } = tables()
  // Some marks become letters in capitals, and some letters become marks when they are taken apart.
  const bare = text.normalize('NFKD').replace(weightless, '')
  return replaced(caseFolded(bare).normalize('NFKD').replace(weightless, ''), sameWeight)
}

/** The skeleton of a text (UTS 39 §4). */
const skeletonOf = (text: string) => replaced(text.normalize('NFD'), tables().confusables).normalize('NFD')

/** Small capitals of a to z but x, and skeletons of them: UTS 39 tells most from capitals and from small letters. */
const smallCapitals = lazy(
  () =>
    new Map(
      Array.from('ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡ\0ʏᴢ', (char, index) => [
        skeletonOf(char),
        String.fromCharCode(97 + index),
      ]),
    ),
)

/** A skeleton in which neither case nor accents matter. I looks like l, and is i: so the three are one there. */
const looksOnce = (text: string) =>
  replaced(collationKey(skeletonOf(text)), smallCapitals()).replaceAll('i', 'l')

/** What a name looks like, in whatever case: what a capital looks like in small may look like something else again. */
const looks = (name: string) => looksOnce(looksOnce(name))

/**
 * The keys of a user name, in whatever form. They are kept beside it: whoever changes what they are made of makes them
 * anew with a migration.
 */
export function nameKeys(name: string): NameKeys {
  const visible = withoutInvisible(name)
  // A name of marks alone has no weight, and is still no other one.
  return { key: indexKey(collationKey(visible) || visible), skeleton: indexKey(looks(visible) || visible) }
}
