import { createHash } from 'node:crypto'
import t from 'tap'
import { hashidEncoder } from '#src/auth/hashid.ts'
import { constantTimeEqual, sha256 } from '#src/auth/secret.ts'
import { TokenSecret } from '#src/auth/token.ts'

t.test('equalSecrets(): texts of different length differ', async t => {
  const digest = new TokenSecret('a').digest()
  t.equal(constantTimeEqual(digest, digest), true)
  t.equal(constantTimeEqual(digest, digest.slice(1) as typeof digest), false)
  // Below and above the length that is compared without allocating buffers.
  for (const length of [1, 128, 129]) {
    const text = 'a'.repeat(length)
    t.notOk(constantTimeEqual(text, `${text}\0`), 'with a trailing NUL')
    t.notOk(constantTimeEqual(text, `${text}a`), 'with another trailing letter')
    t.notOk(constantTimeEqual(`${text}a`, text), 'a prefix')
  }
})

t.test('equalSecrets(): texts of equal length, long ones and non-ASCII ones', async t => {
  for (const length of [1, 64, 128, 129, 1000]) {
    const text = 'a'.repeat(length)
    t.ok(constantTimeEqual(text, `${text.slice(1)}a`), `${length} characters`)
    t.notOk(constantTimeEqual(text, `b${text.slice(1)}`), 'another first character')
    t.notOk(constantTimeEqual(text, `${text.slice(1)}b`), 'another last character')
  }
  t.notOk(constantTimeEqual('\u0100', '\0'), 'equal low bytes')
  t.notOk(constantTimeEqual('\ud800', '\ud801'), 'lone surrogates')
  t.notOk(constantTimeEqual('b'.repeat(128), 'a'.repeat(128)))
  t.notOk(constantTimeEqual('bb', 'aa'), 'after longer texts')
})

t.test('sha256() hashes the Latin-1 bytes', async t => {
  t.equal(sha256('secret'), createHash('sha256').update('secret').digest('hex'))
  t.equal(
    sha256('\u00e9\x7f\n'),
    createHash('sha256')
      .update(Buffer.from([0xe9, 0x7f, 0x0a]))
      .digest('hex'),
  )
})

t.test('hashids equal those of Laravel', async t => {
  const unsalted = hashidEncoder('')
  t.equal(unsalted.playlist(1, 1), 'kRfO')
  t.equal(unsalted.playlist(5, 12), 'DqtX')
  t.equal(unsalted.track(12, 345), 'vDTL1')
  t.equal(unsalted.track(42, 1_000_000), 'vXcq8lv')
  const salted = hashidEncoder('playlists-salt')
  t.equal(salted.playlist(5, 12), 'BOcR')
  t.equal(salted.track(12, 345), 'Oat96')
})
