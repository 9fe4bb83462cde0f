import { createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { containsRanges, includesAddress, isAddressOrRange, parseAllowedIps } from '#src/auth/address-list.ts'
import { hashidEncoder } from '#src/auth/hashid.ts'
import { judgeToken, type StoredToken } from '#src/auth/identity.ts'
import { equalSecrets, sha256 } from '#src/auth/secret.ts'
import { millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import {
  bearerCredential,
  mintSecret,
  PlainToken,
  parseAbilities,
  parseToken,
  type TokenCredential,
  TokenSecret,
} from '#src/auth/token.ts'
import { writeBehind } from '#src/runtime/write-behind.ts'
import { MINUTE, NOW } from '../fixtures/clock.ts'

t.test('a new secret', async t => {
  t.test('is the prefix, 40 alphanumerics and eight hex digits', async () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\w-]{0,10}$/), prefix => {
        const secret = mintSecret(prefix, randomBytes).reveal()
        return secret.startsWith(prefix) && /^[A-Za-z0-9]{40}[0-9a-f]{8}$/.test(secret.slice(prefix.length))
      }),
    )
  })

  t.test('has the checksum of the known vector', async t => {
    // 20 bytes that stand for "a" and 20 that stand for "B".
    const random = () => Buffer.from([...Array(20).fill(26), ...Array(20).fill(1)])
    const secret = mintSecret('at_', random)
    t.equal(secret.reveal(), 'at_aaaaaaaaaaaaaaaaaaaaBBBBBBBBBBBBBBBBBBBB5eabf6cc')
    t.equal(secret.digest(), 'bcc80551de4f614150f39f74bbe655d1a1809e0bfbd9f3d4fdc0a906900d001b')
  })

  t.test('keeps a checksum that begins with zeros at eight digits', async t => {
    let shortest = 'ffffffff'
    for (let round = 0; round < 2000; round += 1) {
      const checksum = mintSecret('', randomBytes).reveal().slice(40)
      t.equal(checksum.length, 8)
      if (checksum < shortest) shortest = checksum
    }
    t.match(shortest, /^00/)
  })

  t.test('draws every letter equally often, whatever the bytes', async t => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    let offset = 0
    const counts = new Map<string, number>()
    for (let round = 0; round < 248; round += 1) {
      const secret = mintSecret('', size => {
        const bytes = Buffer.from(Array.from({ length: size }, (_, i) => all[(offset + i) % 256] ?? 0))
        offset += size
        return bytes
      })
      for (const letter of secret.reveal().slice(0, 40)) counts.set(letter, (counts.get(letter) ?? 0) + 1)
    }
    t.equal(counts.size, 62)
    const values = [...counts.values()]
    t.ok(Math.max(...values) / Math.min(...values) < 1.3, 'no letter is drawn noticeably more often')
  })

  t.test('never shows itself where it is not asked to', async t => {
    const secret = new TokenSecret('c3VwZXIgc2VjcmV0')
    for (const holder of [secret, new PlainToken(7, secret)]) {
      const shown = [
        JSON.stringify({ holder }),
        `${holder}`,
        inspect({ holder }),
        inspect([holder], { depth: 9 }),
      ]
      for (const text of shown) t.notMatch(text, 'c3VwZXIgc2VjcmV0')
    }
    t.equal(new PlainToken(7, secret).reveal(), '7|c3VwZXIgc2VjcmV0')
  })
})

t.test('a presented token', async t => {
  const digest = (secret: string) => new TokenSecret(secret).digest()

  t.equal(digest('test'), '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08')

  for (const [presented, id, secret] of [
    ['1|x', '1', 'x'],
    ['01|x', '1', 'x'],
    ['000100001|x', '100001', 'x'],
    ['1|a|b', '1', 'a|b'],
    ['0|x', '0', 'x'],
    ['00|x', '0', 'x'],
    ['9223372036854775807|x', '9223372036854775807', 'x'],
    ['0009223372036854775807|x', '9223372036854775807', 'x'],
    ['abc', null, 'abc'],
    ['1', null, '1'],
    ['00', null, '00'],
    [
      '654qXmQcAmpifp9o4mz9kdHkKl9wS7D33bEM0jsC96b81cba',
      null,
      '654qXmQcAmpifp9o4mz9kdHkKl9wS7D33bEM0jsC96b81cba',
    ],
  ] as const) {
    t.strictSame(parseToken(presented), { id, digest: digest(secret) }, `${presented} is looked up`)
  }

  for (const presented of [
    '',
    '0',
    '|',
    '|x',
    '1|',
    '1|0',
    '+1|x',
    '-1|x',
    ' 1|x',
    '1 |x',
    '1.0|x',
    '1e3|x',
    '0x1|x',
    '١|x',
    '1ABC|test',
    '1ABC|',
    '1,2|test',
    'x|secret',
    '9223372036854775808|x',
    '99999999999999999999999|x',
    '1\n|x',
  ]) {
    t.equal(parseToken(presented), null, `${JSON.stringify(presented)} is refused before any look-up`)
  }

  t.test('of a megabyte is judged as quickly as any other', async t => {
    t.equal(parseToken(`${'0'.repeat(1_000_000)}x|secret`), null)
    t.equal(parseToken(`${'0'.repeat(1_000_000)}1|secret`)?.id, '1')
    t.equal(parseToken('9'.repeat(1_000_000) + '|x'), null)
  })
})

t.test('an Authorization header', async t => {
  const expected = parseToken('1|abc')
  for (const header of ['Bearer 1|abc', 'bearer 1|abc', 'BEARER 1|abc', 'bEaReR 1|abc']) {
    t.strictSame(bearerCredential(header), expected, `${header} carries a credential`)
  }
  for (const header of [
    '',
    'Bearer',
    'Bearer ',
    'Bearer  1|abc',
    'Bearer\t1|abc',
    'Bearer 1|abc ',
    ' Bearer 1|abc',
    'Bearer 1|abc, Basic Zm9v',
    'Basic Zm9v, Bearer 1|abc',
    'Bearer 1|abc,Bearer 1|abc',
    'Bearer 1|abc,1|abc',
    'Bearer 1|abc,',
    'Bearer ,1|abc',
    'Bearer a Bearer b',
    'XBearer 1|abc',
    'Token 1|abc',
    'Basic Zm9vOmJhcg==',
    'test',
    '|test',
    'Bearer |',
    'Bearer |test',
    'Bearer 1,2|test',
    'Bearer 1ABC|test',
    'Bearer 1ABC|',
    'Bearer 0',
  ]) {
    t.equal(bearerCredential(header), null, `${JSON.stringify(header)} carries none`)
  }
})

t.test('lists of addresses and ranges', async t => {
  for (const text of ['192.0.2.1', '10.0.0.0/8', '0.0.0.0/0', '::1', '2001:db8::/32', '::/0']) {
    t.ok(isAddressOrRange(text), text)
  }
  for (const text of [
    '',
    'x',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.4/',
    '1.2.3.4/8/8',
    '::/129',
    '1.2.3.4 ',
    '*',
    '::1%lo/1x',
  ]) {
    t.notOk(isAddressOrRange(text), text)
  }
  const list = ['192.0.2.0/24', '198.51.100.7', '2001:db8::/32']
  for (const address of ['192.0.2.0', '192.0.2.255', '::ffff:192.0.2.9', '198.51.100.7', '2001:db8:1::1']) {
    t.ok(includesAddress(list, address), address)
  }
  for (const address of ['192.0.3.0', '198.51.100.8', '2001:db9::1', '::1', '', 'x', 'unknown']) {
    t.notOk(includesAddress(list, address), address)
  }
  t.notOk(includesAddress([], '192.0.2.1'), 'an empty one lets nobody in')
  t.ok(containsRanges(list, ['192.0.2.128/25', '192.0.2.3', '2001:db8:5::/48', '198.51.100.7/32']))
  t.ok(containsRanges(list, []))
  for (const wider of [
    '192.0.0.0/16',
    '192.0.2.0/23',
    '0.0.0.0/0',
    '198.51.100.0/31',
    '::/0',
    '203.0.113.1',
    'x',
  ]) {
    t.notOk(containsRanges(list, ['192.0.2.1', wider]), wider)
  }
  t.equal(parseAllowedIps(null), null)
  t.strictSame(parseAllowedIps('["::1",1]'), ['::1'])
  for (const text of ['', '{}', 'null', '"::1"'])
    t.strictSame(parseAllowedIps(text), [], 'what cannot be read is nowhere')
})

t.test('the verdict on a token', async t => {
  const credential = parseToken('5|right') as TokenCredential
  const owner = {
    user: {
      id: 1,
      name: 'a',
      email: 'a@example.org',
      emailVerifiedAt: null,
      twoFactorConfirmedAt: null,
      hasSecondFactor: false,
      createdAt: '2026-01-01 00:00:00',
      updatedAt: '2026-01-01 00:00:00',
    },
    permissions: new Set(['view playlist']),
    prohibitions: new Set<string>(),
    ban: null,
    changesAt: null,
  }
  const stored: StoredToken = {
    id: 5,
    name: 'laptop',
    digest: credential.digest,
    abilities: ['read'],
    expiresAt: null,
    createdAt: NOW - 60 * MINUTE,
    lastUsedAt: null,
    allowedIps: null,
    owner,
  }
  const judge = (
    changes: Partial<StoredToken> = {},
    expiration: number | null = null,
    now = NOW,
    idle: number | null = null,
  ) =>
    judgeToken(
      credential,
      { ...stored, ...changes },
      now,
      {
        tokenExpiration: expiration,
        tokenIdleExpiration: idle,
      },
      '192.0.2.1',
    )

  t.match(judge(), { via: 'token', user: { id: 1 }, token: { id: 5, name: 'laptop', abilities: ['read'] } })
  t.equal(
    judgeToken(credential, null, NOW, { tokenExpiration: null, tokenIdleExpiration: null }, ''),
    'unknown',
  )
  t.equal(judge({ digest: new TokenSecret('wrong').digest() }), 'wrong_secret')
  t.equal(judge({ owner: null }), 'no_owner')

  t.test('its own expiry: the moment itself is still good', async t => {
    t.equal(judge({ expiresAt: NOW - 60 * MINUTE }), 'expired')
    t.equal(judge({ expiresAt: NOW - 1 }), 'expired')
    t.type(judge({ expiresAt: NOW }), 'object')
    t.type(judge({ expiresAt: NOW + 60 * MINUTE }), 'object')
    t.type(judge({ expiresAt: timestampToMillis('infinity') }), 'object')
    t.equal(judge({ expiresAt: timestampToMillis('-infinity') }), 'expired')
    t.equal(judge({ expiresAt: timestampToMillis('what is this') }), 'expired', 'what cannot be read is over')
  })

  t.test('the global expiration: the moment itself is over', async t => {
    t.equal(judge({}, 1), 'expired')
    t.equal(judge({}, 60), 'expired')
    t.type(judge({}, 61), 'object')
    t.equal(judge({ createdAt: null }, 61), 'expired', 'without a date of birth it is over')
    t.type(judge({ createdAt: null }, null), 'object')
  })

  t.test('where it may be used', async t => {
    t.equal(judge({ allowedIps: [] }), 'wrong_address')
    t.equal(judge({ allowedIps: ['192.0.3.0/24'] }), 'wrong_address')
    t.type(judge({ allowedIps: ['192.0.2.0/24'] }), 'object')
  })

  t.test('going unused: from its last use on, or from its creation', async t => {
    const after = (minutes: number, changes: Partial<StoredToken> = {}) =>
      judge(changes, null, NOW + minutes * MINUTE, 60)
    t.type(after(0), 'object')
    t.equal(judge({}, null, NOW + 1, 60), 'expired')
    t.type(after(60, { lastUsedAt: NOW }), 'object')
    t.equal(judge({ lastUsedAt: NOW }, null, NOW + 60 * MINUTE + 1, 60), 'expired')
    t.equal(judge({ createdAt: null }, null, NOW, 60), 'expired')
    t.type(judge({ createdAt: null, lastUsedAt: NOW }, null, NOW, 60), 'object')
  })

  t.test('when it ends by itself', async t => {
    const end = (changes: Partial<StoredToken>, expiration: number | null) => {
      const verdict = judge(changes, expiration)
      return typeof verdict === 'string' ? verdict : verdict.token.endsAt
    }
    t.equal(end({}, null), null)
    t.equal(end({ expiresAt: NOW + 1 }, null), NOW + 1)
    t.equal(end({}, 61), NOW + MINUTE)
    t.equal(end({ expiresAt: NOW + 1 }, 61), NOW + 1)
    t.equal(end({ expiresAt: NOW + 2 * MINUTE }, 61), NOW + MINUTE)
  })

  t.test('both expiries count', async t => {
    t.equal(judge({ expiresAt: NOW + 60 * MINUTE }, 30), 'expired')
    t.equal(judge({ expiresAt: NOW - 1 }, 600), 'expired')
  })

  t.test('a wrong secret is told from an expiry only after it was compared', async t => {
    const wrong = { digest: new TokenSecret('wrong').digest(), expiresAt: NOW - 1 }
    t.equal(judge(wrong), 'wrong_secret')
  })
})

t.test('digests of unequal length are unequal, and no crash', async t => {
  const digest = new TokenSecret('a').digest()
  t.equal(equalSecrets(digest, digest), true)
  t.equal(equalSecrets(digest, digest.slice(1) as typeof digest), false)
  // Shorter and longer than what is compared without making buffers.
  for (const length of [1, 128, 129]) {
    const text = 'a'.repeat(length)
    t.notOk(equalSecrets(text, `${text}\0`), 'a longer one with a NUL')
    t.notOk(equalSecrets(text, `${text}a`), 'a longer one that begins with it')
    t.notOk(equalSecrets(`${text}a`, text), 'the beginning of one')
  }
})

t.test('texts of equal length are told apart, long ones and those of other scripts too', async t => {
  for (const length of [1, 64, 128, 129, 1000]) {
    const text = 'a'.repeat(length)
    t.ok(equalSecrets(text, `${text.slice(1)}a`), `${length} characters`)
    t.notOk(equalSecrets(text, `b${text.slice(1)}`), 'another first one')
    t.notOk(equalSecrets(text, `${text.slice(1)}b`), 'another last one')
  }
  t.notOk(equalSecrets('\u0100', '\0'), 'the same low byte')
  t.notOk(equalSecrets('\ud800', '\ud801'), 'halves of characters')
  t.notOk(equalSecrets('b'.repeat(128), 'a'.repeat(128)))
  t.notOk(equalSecrets('bb', 'aa'), 'after longer ones')
})

t.test('secrets are hashed byte by byte, as they were sent', async t => {
  t.equal(sha256('secret'), createHash('sha256').update('secret').digest('hex'))
  t.equal(
    sha256('\u00e9\x7f\n'),
    createHash('sha256')
      .update(Buffer.from([0xe9, 0x7f, 0x0a]))
      .digest('hex'),
  )
})

t.test('abilities', async t => {
  t.strictSame(parseAbilities('["*"]'), ['*'])
  t.strictSame(parseAbilities('["read:me","read:playlist"]'), ['read:me', 'read:playlist'])
  for (const none of [null, '[]', '', 'null', '{}', '"*"', 'not json', '[1,2]']) {
    t.strictSame(parseAbilities(none), [], `${none} grants none`)
  }
})

t.test('timestamps keep their moment both ways', async t => {
  t.equal(timestampToMillis('2026-03-01 12:00:00'), NOW)
  t.equal(timestampToMillis('2026-03-01 12:00:00.123456'), NOW + 123)
  t.equal(millisToTimestamp(NOW + 5), '2026-03-01 12:00:00.005')
})

t.test('notes of last use', async t => {
  t.test('are written once for many uses, in ascending order of id, with the last one', async t => {
    const written: [number, number][][] = []
    const lastUsed = writeBehind<number, number>(async uses => {
      written.push(uses)
    })
    lastUsed.note(9, 1)
    lastUsed.note(3, 5)
    lastUsed.note(9, 7)
    // The wall clock was set back.
    lastUsed.note(3, 4)
    await lastUsed.flush()
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [3, 4],
        [9, 7],
      ],
    ])
  })

  t.test('survive a failed write', async t => {
    const written: [number, number][][] = []
    let isDown = true
    const lastUsed = writeBehind<number, number>(async uses => {
      if (isDown) throw new Error('down')
      written.push(uses)
    })
    lastUsed.note(1, 30)
    await t.rejects(lastUsed.flush(), { message: 'down' })
    lastUsed.note(1, 20)
    lastUsed.note(2, 15)
    isDown = false
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [1, 20],
        [2, 15],
      ],
    ])
  })

  t.test('take bounded memory', async t => {
    const written: [number, number][][] = []
    const lastUsed = writeBehind<number, number>(async uses => {
      written.push(uses)
    }, 2)
    for (const id of [1, 2, 3]) lastUsed.note(id, 1)
    lastUsed.note(1, 2)
    await lastUsed.flush()
    t.strictSame(written, [
      [
        [1, 2],
        [2, 1],
      ],
    ])
  })
})

t.test('hashids are those that Laravel makes', async t => {
  const unsalted = hashidEncoder('')
  t.equal(unsalted.playlist(1, 1), 'kRfO')
  t.equal(unsalted.playlist(5, 12), 'DqtX')
  t.equal(unsalted.track(12, 345), 'vDTL1')
  t.equal(unsalted.track(42, 1_000_000), 'vXcq8lv')
  const salted = hashidEncoder('playlists-salt')
  t.equal(salted.playlist(5, 12), 'BOcR')
  t.equal(salted.track(12, 345), 'Oat96')
})
