import fc from 'fast-check'
import t from 'tap'
import { isInvisible, nameKeys, normalizeTitle, removeInvisible } from '#src/auth/name.ts'
import { isReservedName } from '#src/auth/reserved-names.ts'

/** Texts without visible characters. */
const BLANK = [
  ...[
    '',
    ' ',
    '\t\r\n',
    '\u00a0',
    '\u3000',
    '\u2028',
    '\u3164',
    '\u115f',
    '\u1160',
    '\u115f\u1160',
    '\uffa0',
  ],
  ...['\u17b4', '\u17b5', '\u034f', '\ufe0f', '\ufe00', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff'],
  ...[
    '\u00ad',
    '\u061c',
    '\u180b',
    '\u180e',
    '\u180f',
    '\u2065',
    '\u206f',
    '\ufff0',
    '\u{1bca0}',
    '\u{1d173}',
  ],
  ...[
    '\u{e0001}',
    '\u{e0020}',
    '\u{e0100}',
    '\u{e01ef}',
    '\u{e0fff}',
    '\u200e',
    '\u202e',
    '\u2066',
    '\u2069',
  ],
  ...[
    '\u0301',
    '\u0301\u0302',
    '\u20e3',
    '\u093e',
    '\u094d',
    '\u{1d165}',
    '\u0488',
    '\u2800',
    '\u2800 \u2800',
  ],
  ...['\u0000', '\u0007', '\u0085', '\ufff9\ufffb', '\u070f', '\ufdd0', '\uffff', '\u{10ffff}', '\ue000'],
  ...['\ufffc', '\u{1d159}', '\u{13441}', '\u{13430}', '\u200b\u0301\u3164\u2800\ufe0f\u{e0041}'],
]

/** A text escaped for a test message. */
const named = (text: string) =>
  [...text].map(char => `U+${(char.codePointAt(0) as number).toString(16).padStart(4, '0')}`).join(' ')

t.test('texts without visible characters are rejected', async t => {
  for (const text of BLANK) {
    t.ok(isInvisible(text), named(text))
    t.equal(normalizeTitle(text), '', named(text))
  }
  fc.assert(fc.property(fc.array(fc.constantFrom(...BLANK)), parts => normalizeTitle(parts.join('')) === ''))
  for (const text of [
    'a',
    '-',
    '_',
    '.',
    '0',
    '\u0301a',
    'の',
    'ᄀ',
    '🎵',
    '‿',
    '\u{1f3f4}',
    '𓀀',
    '１',
    '·',
  ]) {
    t.notOk(isInvisible(text), text)
  }
})

t.test('titles keep meaningful characters and lose invisible ones', async t => {
  for (const title of [
    'Best OPs',
    '❤️ love',
    '☎︎',
    '👨‍👩‍👧‍👦',
    '👩🏽‍🚀 in space',
    '🕵️‍♂️',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    '🏳️‍🌈',
    '🏴‍☠️',
    '🇯🇵',
    '1️⃣ 2️⃣ #️⃣',
    'می‌خواهم',
    'مُ‌حمد',
    'क्‌ष',
    'ක්‍ෂ',
    'র‍্য',
    'ന്‍',
    '葛󠄀城',
    'ᠠ᠋',
    'だけ',
    'Ame\u0301lie',
  ]) {
    t.equal(normalizeTitle(title), title)
  }
  for (const [typed, title] of [
    ['\u200b hello \u200b', 'hello'],
    ['soft\u00adhyphen', 'softhyphen'],
    ['a\u200db', 'ab'],
    ['ab\u200d', 'ab'],
    ['1\u200d1', '11'],
    ['1\ufe0f', '1'],
    ['a\ufe0f', 'a'],
    ['❤️\ufe0f\ufe0f', '❤️'],
    ['👨\u200d', '👨'],
    ['\u200d👨', '👨'],
    ['x\u202eevil\u202c', 'xevil'],
    ['\u2067x\u2069', 'x'],
    ['a\u{e0068}\u{e0069}', 'a'],
    ['😀\u{e0068}\u{e0069}\u{e007f}', '😀'],
    ['🏴\u{e0041}\u{e0042}\u{e0043}\u{e007f}', '🏴'],
    ['a\u{e0100}', 'a'],
    ['می\u200c\u200c\u200cخواهم', 'می‌خواهم'],
    ['می\u200c', 'می'],
    ['a\u180eb', 'ab'],
    ['\u115f\u1160a', 'a'],
    ['a\u3164b', 'ab'],
  ] as const) {
    t.equal(normalizeTitle(typed), title, JSON.stringify(typed))
  }
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      text => normalizeTitle(normalizeTitle(text)) === normalizeTitle(text),
    ),
  )
  t.equal(removeInvisible('a\u200d\u{e0001}b❤️'), 'ab❤')
})

t.test('long titles are cleaned in linear time', async t => {
  const long = 300_000
  for (const text of [
    '\u200b'.repeat(long),
    'ا\u200c'.repeat(long),
    `ا${'\u200c'.repeat(9_000)}`,
    '👨\u200d'.repeat(2_000),
  ]) {
    const begun = performance.now()
    normalizeTitle(text)
    t.ok(performance.now() - begun < 1_000)
  }
})

/** Whether two names are confusable. */
function isOneName(name: string, other: string) {
  const [a, b] = [nameKeys(name), nameKeys(other)]
  const isSeen = !/^[ -~]*$/.test(name + other)
  return a.key === b.key || (isSeen && a.skeleton === b.skeleton)
}

t.test('confusable names have the same key', async t => {
  for (const [name, other] of [
    ['Trimmed', 'tRIMMED'],
    ['trímmed', 'trimmed'],
    ['tri\u0301mmed', 'trímmed'],
    ['ｔｒｉｍｍｅｄ', 'trimmed'],
    ['straße', 'strasse'],
    ['STRAẞE', 'strasse'],
    ['æon', 'aeon'],
    ['Łukasz', 'lukasz'],
    ['ﬁsh', 'fish'],
    ['ｶﾞｷ', 'ガキ'],
    ['がき', 'ガキ'],
    ['ΟΔΟΣ', 'οδος'],
    ['user٣', 'user3'],
    ['аdmin', 'admin'],
    ['АDMIN', 'admin'],
    ['Аdmіn', 'ADMIN'],
    ['ВILL', 'bill'],
    ['вill', 'bill'],
    ['раураl', 'paypal'],
    ['РАУРАL', 'paypal'],
    ['αlice', 'alice'],
    ['Αlice', 'alice'],
    ['ᴀlice', 'alice'],
    ['ɑlice', 'alice'],
    ['ΗELLO', 'hello'],
    ['օwl', 'owl'],
    ['𝐛𝐨𝐛', 'bob'],
    ['𝓫𝓸𝓫', 'bob'],
    ['bоb\u0301', 'bob'],
    ['rnоdern', 'modern'],
    ['al\u200bice', 'alice'],
    ['al\u00adice', 'alice'],
    ['ꓮꓡꓲꓚꓰ', 'alice'],
  ] as const) {
    t.ok(isOneName(name, other), `${name} ${other}`)
    t.ok(isOneName(other, name), `${other} ${name}`)
  }
  for (const [name, other] of [
    ['modern', 'modem'],
    ['alice', 'a1ice'],
    ['o0', 'oo'],
    ['alice', 'alicia'],
    ['user1', 'userl'],
    ['ash', 'ach'],
    ['日本', '日木'],
    ['さくら', 'さくれ'],
    ['мир', 'мор'],
    ['x', '-'],
    ['а', 'b'],
    ['\u3164', 'a'],
  ] as const) {
    t.notOk(isOneName(name, other), `${name} ${other}`)
  }
})

t.test('keys agree with a collation without case and accents', async t => {
  const { compare } = new Intl.Collator('und', { sensitivity: 'base' })
  const letters = Array.from({ length: 0x3000 }, (_, code) => String.fromCodePoint(code)).filter(char =>
    /(?=[\p{L}\p{N}])\P{Default_Ignorable_Code_Point}/u.test(char),
  )
  // Some compatibility characters have their own collation weights.
  const whole = letters.filter(char => char.normalize('NFD') === char.normalize('NFKD'))
  const apart = whole.filter(char => compare(char, nameKeys(char).key) !== 0)
  t.ok(whole.length > 5_000)
  t.strictSame(apart, [...'ıЙйآأؤإئ'], 'letters that the collation distinguishes and keys do not')
  for (const [char, other] of ['àa', 'Øo', 'đd', 'ßẞ', 'Ɓɓ', 'ǅǆ', 'Ωω', 'ёе', 'あア', 'ァあ'].map(pair => [
    ...pair,
  ])) {
    t.equal(compare(char ?? '', other ?? ''), 0)
    t.equal(nameKeys(char ?? '').key, nameKeys(other ?? '').key, `${char} ${other}`)
  }
})

t.test('keys fit into an index and are valid PostgreSQL text', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 255 }), name => {
      const { key, skeleton } = nameKeys(name)
      return [key, skeleton].every(text => Buffer.byteLength(text) <= 2_000 && !/[\0\p{Cs}]/u.test(text))
    }),
  )
  const [a, b] = ['\ufdfa'.repeat(255), `${'\ufdfa'.repeat(254)}a`].map(nameKeys)
  t.ok((a?.key.length ?? 0) < 100)
  t.not(a?.key, b?.key)
})

t.test('reserved names', async t => {
  for (const name of [
    'admin',
    'ADMIN',
    'Ａdmin',
    'аdmin',
    'АDMIN',
    'ádmin',
    'admín',
    'root',
    'Support',
    'ѕupport',
  ]) {
    t.ok(isReservedName(name), name)
  }
  for (const name of [
    'moderator',
    'modеrator',
    'system',
    'ѕуѕtem',
    'security',
    'postmaster',
    'api',
    'аpi',
    'me',
    'mе',
  ]) {
    t.ok(isReservedName(name), name)
  }
  // Letters missing in Unicode's confusables, and transliterations into other scripts.
  for (const name of [
    'ꞻdmin',
    'ⱥdmin',
    'ᶏdmin',
    'aȡmin',
    'ɐdmin',
    'админ',
    'adminʼ',
    'adminـ',
    'ˈadmin',
    'adminー',
  ]) {
    t.ok(isReservedName(name), name)
  }
  for (const name of ['ADMlN', '_admin_', 'ad-min', 'no-reply', 'NoReply', 'ᴀᴅᴍɪɴ', 'ad\u200bmin', '𝒶dmin']) {
    t.equal(isReservedName(name), name !== 'ADMlN', name)
  }
  for (const name of [
    'alice',
    'admirer',
    'adminton',
    'rooted',
    'met',
    'ali',
    'yuki',
    'demo',
    'newcomer',
    'さくら',
  ]) {
    t.notOk(isReservedName(name), name)
  }
})
