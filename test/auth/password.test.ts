import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import { hashPassword, passwordFault, verifyPassword } from '../../src/auth/password.ts'
import { laravelRows as laravel } from '../support/laravel.ts'

t.test('every password that Laravel hashed opens, and no other', async t => {
  for (const { row, password } of laravel.users) {
    t.equal(await verifyPassword(password, row.password), true, `${row.name}: ${row.password.slice(0, 9)}`)
    t.equal(await verifyPassword(`X${password}`, row.password), false, `${row.name}: a wrong one`)
  }
})

t.test('bcrypt compares the first 72 bytes, as PHP does', async t => {
  const long = laravel.users.find(({ row }) => row.name === 'long')
  t.ok(long)
  const { password = '', row } = long ?? {}
  t.equal(await verifyPassword(Buffer.from(password).subarray(0, 72).toString(), row?.password ?? ''), true)
  t.equal(await verifyPassword(Buffer.from(password).subarray(0, 71).toString(), row?.password ?? ''), false)
})

t.test('a new hash', async t => {
  const hash = await hashPassword('pässwörd-日本', 4)
  t.match(hash, /^\$2y\$04\$.{53}$/, 'has the form that PHP recognises as bcrypt')
  t.equal(await verifyPassword('pässwörd-日本', hash), true)
  t.equal(await verifyPassword('pässwörd-日木', hash), false)
  t.not(await hashPassword('pässwörd-日本', 4), hash, 'is salted')
})

t.test('a NUL is refused: PHP would compare no further', async t => {
  const hash = await hashPassword('secret', 4)
  t.equal(await verifyPassword('secret\0anything', hash), false)
  t.equal(
    await verifyPassword('a\0b', await hashBcrypt('a\0b', { cost: 4 })),
    false,
    'even where the hash would match',
  )
  t.equal(passwordFault('secret\0anything'), 'must not contain a NUL character')
  await t.rejects(hashPassword('secret\0', 4), RangeError)
})

t.test('a new password over 72 bytes is refused', async t => {
  t.equal(passwordFault('x'.repeat(72)), null)
  t.equal(passwordFault('x'.repeat(73)), 'must not be longer than 72 bytes')
  t.equal(passwordFault('日'.repeat(25)), 'must not be longer than 72 bytes')
  t.equal(passwordFault(''), 'must not be empty')
})

t.test('what is no hash matches nothing, and throws nothing', async t => {
  for (const hash of [
    '',
    '!',
    'plain',
    '$2y$',
    '$2y$12$short',
    '$argon2id$',
    '$argon2id$v=19$m=1$x',
    '$1$abc$def',
    '$2x$12$',
  ]) {
    t.equal(await verifyPassword('plain', hash), false, JSON.stringify(hash))
  }
})
