import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import {
  createPasswordHashing,
  hashPassword,
  needsRehash,
  passwordFault,
  passwordWeaknesses,
  verifyPassword,
} from '#src/auth/password.ts'
import { fairQueue } from '#src/runtime/fair-queue.ts'
import { laravelRows as laravel } from '../fixtures/laravel.ts'
import { passwordWorkHere } from '../support/app.ts'

const CALLER = {
  network: '198.51.100.1',
  lane: 'stranger',
  isUnbounded: false,
  connection: { destroyed: false },
} as const

/** A password service that verifies with a function, one at a time. */
const verifiedBy = (rounds: number, verify: (password: string, hash: string) => Promise<boolean>) => {
  const queue = fairQueue({
    concurrency: 1,
    capacity: { known: 1, stranger: 1 },
    maxPerNetwork: 1,
    slotMemory: { known: 0, stranger: 0 },
    deadlineMs: 1_000,
    schedule: () => () => {},
    monotonic: () => 0,
  })
  return createPasswordHashing({ rounds, queue, work: { ...passwordWorkHere, verify } })
}

t.test('hashes of Laravel verify their password and no other', async t => {
  for (const { row, password } of laravel.users) {
    t.equal(await verifyPassword(password, row.password), true, `${row.name}: ${row.password.slice(0, 9)}`)
    t.equal(await verifyPassword(`X${password}`, row.password), false, `${row.name}: a wrong password`)
  }
})

t.test('bcrypt compares the first 72 bytes, as in PHP', async t => {
  const long = laravel.users.find(({ row }) => row.name === 'long')
  t.ok(long)
  const { password = '', row } = long ?? {}
  t.equal(await verifyPassword(Buffer.from(password).subarray(0, 72).toString(), row?.password ?? ''), true)
  t.equal(await verifyPassword(Buffer.from(password).subarray(0, 71).toString(), row?.password ?? ''), false)
})

t.test('new hashes', async t => {
  const hash = await hashPassword('pässwörd-日本', 4)
  t.match(hash, /^\$2y\$04\$.{53}$/, 'the format that PHP recognizes as bcrypt')
  t.equal(await verifyPassword('pässwörd-日本', hash), true)
  t.equal(await verifyPassword('pässwörd-日木', hash), false)
  t.not(await hashPassword('pässwörd-日本', 4), hash, 'salted')
})

t.test('password rules', async t => {
  for (const [password, ...weaknesses] of [
    ['Secret-1'],
    ['Пароль №1'],
    ['Secret 1'],
    ['Secre-1', 'short'],
    ['😀😀😀Aa-1', 'short'],
    ['secret-1', 'mixed'],
    ['SECRET-1', 'mixed'],
    ['Secret11', 'symbols'],
    ['Secret--', 'numbers'],
    ['12345678', 'mixed', 'letters', 'symbols'],
    ['日本語日本語-1', 'mixed'],
    ['日本語日本語日本語日本語日本', 'mixed', 'symbols', 'numbers'],
    ['日本語日本語日本語日本語日本語'],
    ['fifteen letters'],
    ['fourteen lette', 'mixed', 'numbers'],
    ['', 'short', 'mixed', 'letters', 'symbols', 'numbers'],
  ] as [string, ...string[]][]) {
    t.strictSame(passwordWeaknesses(password), weaknesses, password)
  }
})

t.test('a NUL character is refused, since PHP would ignore the rest', async t => {
  const hash = await hashPassword('secret', 4)
  t.equal(await verifyPassword('secret\0anything', hash), false)
  t.equal(
    await verifyPassword('a\0b', await hashBcrypt('a\0b', { cost: 4 })),
    false,
    'although the hash would match',
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

t.test('a malformed hash matches nothing and throws nothing', async t => {
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

t.test('a hash is only replaced by one of higher cost', async t => {
  const bcrypt = (cost: string) => `$2y$${cost}$${'.'.repeat(53)}`
  t.equal(needsRehash(bcrypt('10'), 12), true)
  t.equal(needsRehash(bcrypt('12'), 12), false)
  t.equal(needsRehash(bcrypt('14'), 12), false)
  t.equal(needsRehash(bcrypt('10').replace('2y', '2a'), 12), true)
  t.equal(needsRehash('$argon2id$v=19$m=65536,t=4,p=1$x$y', 12), false)
  t.equal(needsRehash('!', 12), false)
})

t.test('a wrong password costs the same for known and unknown users', async t => {
  /** The work that was done, relative to the least cost. */
  const workOf = async (hash: string | null, password = 'wrong') => {
    let work = 0
    const { verify } = verifiedBy(8, async (given, against) => {
      work += 2 ** Number(/^\$2y\$(\d\d)\$/.exec(against)?.[1] ?? Number.NEGATIVE_INFINITY)
      // Verifying a malformed hash does no work.
      if (against !== hash) t.match(against, /^\$2y\$\d\d\$[./0-9A-Za-z]{53}$/)
      return verifyPassword(given, against)
    })
    t.equal(await verify(password, hash, CALLER), false)
    return work
  }
  const workForUnknown = await workOf(null)
  t.equal(workForUnknown, 2 ** 8)
  for (const rounds of [4, 5, 6, 7, 8]) {
    t.equal(await workOf(await hashPassword('right', rounds)), workForUnknown, `cost ${rounds}`)
  }
  t.equal(await workOf('!'), workForUnknown, 'a malformed hash')
  t.equal(await workOf(''), workForUnknown)
})

t.test('a failed verification costs as much as the most expensive hashes seen', async t => {
  const argon =
    '$argon2id$v=19$m=1024,t=2,p=1$UnVGMTEuRncvWm1LTFM4UA$NbOgZTIPG8SmllgH1Mitckc0dxYtxOPZc2GuiuulUAk'
  let work: string[] = []
  const { verify } = verifiedBy(4, async (given, against) => {
    const isRight = verifyPassword(given, against)
    work.push(/^\$2y\$\d\d|^\$argon2id?\$v=19\$m=\d+,t=\d+/.exec(against)?.[0] ?? against)
    return isRight
  })
  const workOf = async (hash: string | null) => {
    work = []
    t.equal(await verify('wrong', hash, CALLER), false)
    return work.sort()
  }
  t.strictSame(await workOf(null), ['$2y$04'])
  t.strictSame(await workOf(await hashPassword('right', 6)), ['$2y$06'], 'above the configured cost')
  t.strictSame(await workOf(null), ['$2y$06'], 'is the cost from then on')
  t.strictSame(await workOf(await hashPassword('right', 4)), ['$2y$04', '$2y$04', '$2y$05'].sort())
  const all = ['$2y$06', '$argon2id$v=19$m=1024,t=2']
  t.strictSame(await workOf(argon), all)
  t.strictSame(await workOf(null), all)
  t.strictSame(await workOf(await hashPassword('right', 6)), all)
  t.strictSame(await workOf('!'), ['!', ...all], 'a malformed hash')
})

t.test('a failed verification takes one turn of the queue', async t => {
  const log: string[] = []
  const { verify, hash } = verifiedBy(6, async (password, against) => {
    log.push(`${password} ${against.slice(0, 6)}`)
    return false
  })
  const other = { ...CALLER, network: '198.51.100.2' }
  await Promise.all([verify('one', await hashPassword('right', 4), CALLER), verify('two', null, other)])
  t.strictSame(log, ['one $2y$04', 'one $2y$04', 'one $2y$05', 'two $2y$06'])
  t.match(await hash('a', CALLER), /^\$2y\$06\$/)
})
