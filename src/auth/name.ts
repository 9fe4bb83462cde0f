import { lazy } from '#src/runtime/lazy.ts'
import { indexKey } from './index-key.ts'
import { CONFUSABLES, SAME_WEIGHT, WEIGHTLESS } from './name-tables.ts'

/** Removes invisible characters (DerivedCoreProperties, Default_Ignorable_Code_Point). */
export const removeInvisible = (text: string): string =>
  text.replace(/\p{Default_Ignorable_Code_Point}/gu, '')

/**
 * Whether text has no visible character: at most marks without a base. The listed characters are blank although their
 * category is another: BRAILLE PATTERN BLANK, OBJECT REPLACEMENT CHARACTER, MUSICAL SYMBOL NULL NOTEHEAD and EGYPTIAN
 * HIEROGLYPH FULL and HALF BLANK.
 */
export const isInvisible = (text: string): boolean =>
  /^[\s\p{Z}\p{M}\p{Cc}\p{Cf}\p{Co}\p{Noncharacter_Code_Point}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]*$/u.test(
    text,
  )

/** Scripts in which ZERO WIDTH JOINER and NON-JOINER are significant. */
const JOINING = [
  ...['Adlam', 'Arabic', 'Balinese', 'Bengali', 'Brahmi', 'Chakma', 'Devanagari', 'Grantha', 'Gujarati'],
  ...['Gurmukhi', 'Hanifi_Rohingya', 'Javanese', 'Kaithi', 'Kannada', 'Khmer', 'Malayalam', 'Mandaic'],
  ...['Manichaean', 'Meetei_Mayek', 'Mongolian', 'Myanmar', 'Newa', 'Nko', 'Oriya', 'Phags_Pa', 'Sharada'],
  ...['Sinhala', 'Syriac', 'Takri', 'Tamil', 'Telugu', 'Tirhuta'],
]
const JOINED = `(?=[\\p{L}\\p{M}])[${JOINING.map(script => `\\p{Script_Extensions=${script}}`).join('')}]`

/** A single emoji (UTS 51): with a variation selector or a skin tone, or the tags of a subdivision flag. */
const EMOJI = [
  '\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{3,6}\\u{e007f}',
  '\\p{Extended_Pictographic}(?:\\p{Emoji_Modifier}|[\\ufe0e\\ufe0f])?',
].join('|')

/** Invisible characters: first the significant ones, with their context, each in a group; then all others. */
const INVISIBLE = new RegExp(
  [
    `((?:${EMOJI})(?:\\u200d(?:${EMOJI}))*)`,
    '([0-9#*]\\ufe0f?\\u20e3)',
    `(?<=${JOINED})([\\u200c\\u200d])\\p{Default_Ignorable_Code_Point}*(?=${JOINED})`,
    // Chillus, encoded with a joiner before Unicode 5.1.
    '(?<=[\\u0d15\\u0d23\\u0d28\\u0d30\\u0d32\\u0d33]\\u0d4d)(\\u200d)',
    // Mongolian free variation selectors and vowel separator, and variation sequences of ideographs (UTS 37).
    '(?<=(?=\\p{L})\\p{Script=Mongolian})([\\u180b-\\u180f])',
    '(?<=\\p{Unified_Ideograph})([\\ufe00-\\ufe02\\u{e0100}-\\u{e01ef}])',
    '\\p{Default_Ignorable_Code_Point}',
  ].join('|'),
  'gu',
)

/** Longer text is returned unchanged: its length is refused anyway. */
const MAX_TITLE = 10_000

/**
 * Normalizes a title: removes invisible characters except significant ones, which are joiners, selectors and tags
 * within emoji, joiners between letters of joining scripts, and selectors of Mongolian letters and ideographs.
 * Directional overrides and isolates are removed. Empty if nothing visible remains.
 */
export function normalizeTitle(text: string): string {
  if (text.length > MAX_TITLE) return text
  const title = text
    .replace(INVISIBLE, (_, ...groups) => groups.slice(0, 6).find(kept => kept !== undefined) ?? '')
    .trim()
  return isInvisible(title) ? '' : title
}

/** Whether two names are equal except for case, accents and width. */
export const isSameName = (name: string, other: string | undefined): boolean =>
  other !== undefined && nameKeys(name).key === nameKeys(other).key

/** The keys that user names are compared by. Names that share either key are the same name. */
export interface NameKeys {
  /** Equal for names that differ only in case, accents or width. */
  key: string
  /** Equal for names that look the same. It counts if one of the two names has characters beyond ASCII. */
  skeleton: string
}

const parseCodes = (codes: string) =>
  codes
    .split('+')
    .map(code => String.fromCodePoint(Number.parseInt(code, 16)))
    .join('')

/** Parses a generated table to a map from each character to its replacement. */
const parseTable = (lines: string): Map<string, string> =>
  new Map(
    lines
      .trim()
      .split('\n')
      .flatMap(line => {
        const [target = '', sources = ''] = line.split('=')
        return sources.split(' ').map(source => [parseCodes(source), parseCodes(target)] as const)
      }),
  )

/** The comparison tables, parsed at the first name beyond ASCII. */
const tables = lazy(() => ({
  confusables: parseTable(CONFUSABLES),
  sameWeight: parseTable(SAME_WEIGHT),
  weightless: new RegExp(
    `[${WEIGHTLESS.trim()
      .replace(/[\da-f]+/g, code => `\\u{${code}}`)
      .replaceAll(' ', '')}]`,
    'gu',
  ),
}))

/** Whether text is printable ASCII. Such texts are not confusable with each other. */
export const isAscii = (text: string): boolean => /^[ -~]*$/.test(text)

const replaceCharacters = (text: string, table: ReadonlyMap<string, string>) =>
  Array.from(text, char => table.get(char) ?? char).join('')

/** Full case folding by upper case: ß becomes ss. */
const foldCase = (text: string) => text.toUpperCase().toLowerCase()

/** The primary weights of text in the root collation (UTS 10), as letters: without case, width and marks. */
function collationKey(text: string): string {
  if (isAscii(text)) return text.toLowerCase()
  const { sameWeight, weightless } = tables()
  // Upper case turns some marks into letters, and decomposition turns some letters into marks.
  const bare = text.normalize('NFKD').replace(weightless, '')
  return replaceCharacters(foldCase(bare).normalize('NFKD').replace(weightless, ''), sameWeight)
}

/** The skeleton of a text (UTS 39 §4). */
const skeletonOf = (text: string) =>
  replaceCharacters(text.normalize('NFD'), tables().confusables).normalize('NFD')

/** Small capitals of a to z (except x) by their skeletons: UTS 39 maps most to neither capitals nor small letters. */
const smallCapitals = lazy(
  () =>
    new Map(
      Array.from('ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡ\0ʏᴢ', (char, index) => [
        skeletonOf(char),
        String.fromCharCode(97 + index),
      ]),
    ),
)

/** The skeleton without case and accents. I is confusable with l and a capital i, so the three are equal. */
const foldSkeleton = (text: string) =>
  replaceCharacters(collationKey(skeletonOf(text)), smallCapitals()).replaceAll('i', 'l')

/** The skeleton for comparison. Two passes, because the lower case of a skeleton may have another skeleton. */
const comparisonSkeleton = (name: string) => foldSkeleton(foldSkeleton(name))

/**
 * Returns the keys of a user name. They are stored, so a change of this function needs a migration that recomputes
 * them.
 */
export function nameKeys(name: string): NameKeys {
  const visible = removeInvisible(name)
  // A name of marks alone has an empty key and would equal all other such names.
  return {
    key: indexKey(collationKey(visible) || visible),
    skeleton: indexKey(comparisonSkeleton(visible) || visible),
  }
}
