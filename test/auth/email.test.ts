import fc from 'fast-check'
import t from 'tap'
import { canonicalizeEmail, emailKey, isEmail } from '#src/auth/email.ts'
import { accountKey } from '#src/limits/attempt-limit.ts'

/** Invisible characters around an address. */
const UNSEEN = [
  ...['\u200b', '\u200c', '\u200d', '\ufeff', '\u200e', '\u200f', '\u202a', '\u202c', '\u2066', '\u2069'],
  ...[
    '\u00a0',
    '\u3000',
    '\u00ad',
    '\u2060',
    '\u061c',
    '\u180e',
    '\u3164',
    '\u2800',
    '\ufe0f',
    '\u{e0001}',
    '\t',
  ],
]

/** Equivalent forms of addresses, by their canonical form. */
const FORMS: Record<string, readonly string[]> = {
  'jane@example.org': [
    'JANE@Example.ORG',
    '"jane"@example.org',
    '"j\\ane"@example.org',
    'jane@example.org.',
    'ｊａｎｅ＠ｅｘａｍｐｌｅ．ｏｒｇ',
    'jane@example。org',
    'jane@exam\u00adple.org',
  ],
  'j.d@example.org': ['"j.d"@example.org', '"j".d@example.org', 'j."d"@example.org', '"j"."d"@EXAMPLE.org'],
  'jané@example.org': [
    'jane\u0301@example.org',
    'JANÉ@example.org',
    '"jané"@example.org',
    '"JANE\u0301"@example.org',
  ],
  'jane@xn--bcher-kva.example': ['jane@bücher.example', 'jane@bu\u0308cher.example', 'jane@BÜCHER.example'],
  'οδος@example.org': ['ΟΔΟΣ@example.org', 'οδοσ@example.org'],
}

t.test('equivalent forms of an address have the same key', async t => {
  for (const [canonical, forms] of Object.entries(FORMS)) {
    for (const form of forms) {
      t.equal(emailKey(form), emailKey(canonical), form)
      t.equal(accountKey(form), accountKey(canonical), form)
    }
    for (const mark of UNSEEN) {
      for (const form of [
        `${mark}${canonical}`,
        `${canonical}${mark}`,
        `${mark}${mark} ${canonical} ${mark}`,
      ]) {
        t.equal(canonicalizeEmail(form), canonicalizeEmail(canonical), JSON.stringify(form))
        t.equal(emailKey(form), emailKey(canonical), JSON.stringify(form))
        t.equal(accountKey(form), accountKey(canonical), JSON.stringify(form))
      }
    }
  }
  t.equal(emailKey('ja\u200bne@example.org'), 'jane@example.org')
  t.equal(new Set(Object.keys(FORMS).map(emailKey)).size, Object.keys(FORMS).length)
})

t.test('different addresses have different keys', async t => {
  for (const other of [
    'jane.@example.org',
    'jané@example.org',
    'jane@example.com',
    '"jane "@example.org',
    '"ja ne"@example.org',
    '"jane@x"@example.org',
    'a"jane"@example.org',
    '""@example.org',
  ]) {
    t.not(emailKey(other), 'jane@example.org', other)
  }
  t.equal(canonicalizeEmail('"a b"@example.org'), '"a b"@example.org', 'necessary quotes are kept')
  t.equal(canonicalizeEmail('a"b"@example.org'), 'a"b"@example.org')
})

t.test('needless quotes and invisible characters are removed', async t => {
  for (const [typed, canonical] of [
    ['"Jane"@Example.org', 'Jane@example.org'],
    ['\u200b"jane"@example.org\ufeff', 'jane@example.org'],
    ['\u202ajane@example.org\u202c', 'jane@example.org'],
  ] as const) {
    t.equal(canonicalizeEmail(typed), canonical)
    t.ok(isEmail(canonicalizeEmail(typed)))
  }
  for (const inside of ['\u200b', '\u034f', '\u3164', '\u115f', '\ufe0f', '\u17b4', '\u{e0100}', '\u00ad']) {
    t.notOk(isEmail(canonicalizeEmail(`ja${inside}ne@example.org`)), 'an invisible character inside')
  }
})

t.test('keys are stable and fit into an index', async t => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 255 }),
      fc.constantFrom('', '@', '@example.org'),
      (a, b) => {
        const key = emailKey(a + b)
        return Buffer.byteLength(key) <= 2_000 && !/[\0\p{Cs}]/u.test(key)
      },
    ),
  )
  for (const text of [
    ' '.repeat(1e6),
    `a${'\u200b'.repeat(1e6)}@b`,
    `"${'\\'.repeat(1e6)}`,
    '".'.repeat(500_000),
  ]) {
    const begun = performance.now()
    emailKey(text)
    t.ok(performance.now() - begun < 1_000)
  }
})
