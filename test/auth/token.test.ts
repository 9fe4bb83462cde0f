import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { type StoredToken, validateToken } from '#src/auth/identity.ts'
import { millisToTimestamp, timestampToMillis } from '#src/auth/time.ts'
import {
  bearerCredential,
  mintSecret,
  PlainToken,
  parseAbilities,
  parseToken,
  soleBearer,
  type TokenCredential,
  TokenSecret,
} from '#src/auth/token.ts'
import { MINUTE, NOW } from '../fixtures/clock.ts'

t.test('new secrets', async t => {
  await t.test('a secret has the prefix, 40 alphanumerics and eight hex digits', async () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\w-]{0,10}$/), prefix => {
        const secret = mintSecret(prefix, randomBytes).reveal()
        return secret.startsWith(prefix) && /^[A-Za-z0-9]{40}[0-9a-f]{8}$/.test(secret.slice(prefix.length))
      }),
    )
  })

  await t.test('the checksum of a known vector', async t => {
    // 20 bytes that encode "a" and 20 that encode "B".
    const random = () => Buffer.from([...Array(20).fill(26), ...Array(20).fill(1)])
    const secret = mintSecret('at_', random)
    t.equal(secret.reveal(), 'at_aaaaaaaaaaaaaaaaaaaaBBBBBBBBBBBBBBBBBBBB5eabf6cc')
    t.equal(secret.digest(), 'bcc80551de4f614150f39f74bbe655d1a1809e0bfbd9f3d4fdc0a906900d001b')
  })

  await t.test('a checksum with leading zeros has eight digits', async t => {
    let shortest = 'ffffffff'
    for (let round = 0; round < 2000; round += 1) {
      const checksum = mintSecret('', randomBytes).reveal().slice(40)
      t.equal(checksum.length, 8)
      if (checksum < shortest) shortest = checksum
    }
    t.match(shortest, /^00/)
  })

  await t.test('letters are uniformly distributed', async t => {
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
    t.ok(Math.max(...values) / Math.min(...values) < 1.3, 'ratio of the most to the least frequent letter')
  })

  await t.test('a secret is not printed or serialized', async t => {
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

t.test('parseToken()', async t => {
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
    t.strictSame(parseToken(presented), { id, digest: digest(secret) }, `${presented} is valid`)
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
    t.equal(parseToken(presented), null, `${JSON.stringify(presented)} is invalid`)
  }

  await t.test('a token of a megabyte is parsed', async t => {
    t.equal(parseToken(`${'0'.repeat(1_000_000)}x|secret`), null)
    t.equal(parseToken(`${'0'.repeat(1_000_000)}1|secret`)?.id, '1')
    t.equal(parseToken('9'.repeat(1_000_000) + '|x'), null)
  })
})

t.test('bearerCredential()', async t => {
  const expected = parseToken('1|abc')
  for (const header of ['Bearer 1|abc', 'bearer 1|abc', 'BEARER 1|abc', 'bEaReR 1|abc']) {
    t.strictSame(bearerCredential(header), expected, `${header} has a credential`)
  }
  for (const header of [
    '',
    'Bearer',
    'Bearer ',
    'Bearer  1|abc',
    'Bearer\t1|abc',
    'Bearer 1|abc ',
    ' Bearer 1|abc',
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
    t.equal(bearerCredential(header), null, `${JSON.stringify(header)} has none`)
    t.equal(soleBearer(header), header)
  }
  for (const header of [
    'Bearer 1|abc, Basic Zm9v',
    'Basic Zm9v, Bearer 1|abc',
    'Basic Zm9v,Bearer 1|abc',
    'Basic Zm9v , Bearer 1|abc , Token x',
    'Digest username="a", realm="b c", nc=1, Bearer 1|abc',
    'Bearer 1|abc, Digest username="a", nc=1',
  ]) {
    t.equal(soleBearer(header), 'Bearer 1|abc', header)
  }
  for (const header of [
    'Bearer 1|abc, Basic x, Bearer 1|abc',
    'Basic x, Bearer 1|abc, bearer 1|abc',
    'Basic x, Bearer, Bearer 1|abc',
    'Bearer 1|abc, realm="b"',
    'Basic x, Bearer 1|abc, y',
    'Basic, Bearer 1|abc',
    'Basic x,, Bearer 1|abc',
    ', Bearer 1|abc',
    'Basic x, Token y',
    `Basic x, ${'a'.repeat(10_000)}`,
  ]) {
    t.equal(soleBearer(header), header, header.slice(0, 50))
  }
  t.equal(bearerCredential(soleBearer('Basic x, Bearer 1|abc d')), null)
})

t.test('judgeToken()', async t => {
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
    validateToken(
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
    validateToken(credential, null, NOW, { tokenExpiration: null, tokenIdleExpiration: null }, ''),
    'unknown',
  )
  t.equal(judge({ digest: new TokenSecret('wrong').digest() }), 'wrong_secret')
  t.equal(judge({ owner: null }), 'no_owner')

  await t.test('expires_at: valid at that moment, expired after it', async t => {
    t.equal(judge({ expiresAt: NOW - 60 * MINUTE }), 'expired')
    t.equal(judge({ expiresAt: NOW - 1 }), 'expired')
    t.type(judge({ expiresAt: NOW }), 'object')
    t.type(judge({ expiresAt: NOW + 60 * MINUTE }), 'object')
    t.type(judge({ expiresAt: timestampToMillis('infinity') }), 'object')
    t.equal(judge({ expiresAt: timestampToMillis('-infinity') }), 'expired')
    t.equal(
      judge({ expiresAt: timestampToMillis('what is this') }),
      'expired',
      'an unreadable time counts as expired',
    )
  })

  await t.test('SANCTUM_EXPIRATION: expired at that moment', async t => {
    t.equal(judge({}, 1), 'expired')
    t.equal(judge({}, 60), 'expired')
    t.type(judge({}, 61), 'object')
    t.equal(judge({ createdAt: null }, 61), 'expired', 'without a creation time it is expired')
    t.type(judge({ createdAt: null }, null), 'object')
  })

  await t.test('allowed_ips', async t => {
    t.equal(judge({ allowedIps: [] }), 'wrong_address')
    t.equal(judge({ allowedIps: ['192.0.3.0/24'] }), 'wrong_address')
    t.type(judge({ allowedIps: ['192.0.2.0/24'] }), 'object')
  })

  await t.test('SANCTUM_IDLE_EXPIRATION: counted from the last use or the creation', async t => {
    const after = (minutes: number, changes: Partial<StoredToken> = {}) =>
      judge(changes, null, NOW + minutes * MINUTE, 60)
    t.type(after(0), 'object')
    t.equal(judge({}, null, NOW + 1, 60), 'expired')
    t.type(after(60, { lastUsedAt: NOW }), 'object')
    t.equal(judge({ lastUsedAt: NOW }, null, NOW + 60 * MINUTE + 1, 60), 'expired')
    t.equal(judge({ createdAt: null }, null, NOW, 60), 'expired')
    t.type(judge({ createdAt: null, lastUsedAt: NOW }, null, NOW, 60), 'object')
  })

  await t.test('endsAt is the earlier of both expiries', async t => {
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

  await t.test('the earlier expiry applies', async t => {
    t.equal(judge({ expiresAt: NOW + 60 * MINUTE }, 30), 'expired')
    t.equal(judge({ expiresAt: NOW - 1 }, 600), 'expired')
  })

  await t.test('a wrong secret precedes an expiry', async t => {
    const wrong = { digest: new TokenSecret('wrong').digest(), expiresAt: NOW - 1 }
    t.equal(judge(wrong), 'wrong_secret')
  })
})

t.test('parseAbilities()', async t => {
  t.strictSame(parseAbilities('["*"]'), ['*'])
  t.strictSame(parseAbilities('["read:me","read:playlist"]'), ['read:me', 'read:playlist'])
  for (const none of [null, '[]', '', 'null', '{}', '"*"', 'not json', '[1,2]']) {
    t.strictSame(parseAbilities(none), [], `${none} grants none`)
  }
})

t.test('timestamps are converted in both directions', async t => {
  t.equal(timestampToMillis('2026-03-01 12:00:00'), NOW)
  t.equal(timestampToMillis('2026-03-01 12:00:00.123456'), NOW + 123)
  t.equal(timestampToMillis('2026-03-01 12:00:00.5'), NOW + 500)
  t.equal(timestampToMillis('0001-01-01 00:00:00'), Date.parse('0001-01-01T00:00:00Z'), 'an early year')
  t.equal(timestampToMillis('infinity'), Number.POSITIVE_INFINITY)
  for (const unreadable of [
    ...['', 'what is this', '2026-03-01 12:00:00.', '2026-13-01 12:00:00', '2026-03-01 25:00:00'],
    ...['0044-03-15 12:00:00 BC', '10000-01-01 00:00:00', '2026-03-01T12:00:00+01', '2026-0a-01 12:00:00'],
  ]) {
    t.ok(Number.isNaN(timestampToMillis(unreadable)), unreadable)
  }
  t.equal(millisToTimestamp(NOW + 5), '2026-03-01 12:00:00.005')
})
