import { createCipheriv, createHmac, randomBytes } from 'node:crypto'
import { Secret as OneTimeSecret, TOTP } from 'otpauth'
import t from 'tap'
import {
  type DeviceToken,
  mintDeviceToken,
  parseDeviceToken,
  type StoredDevice,
  validateDeviceToken,
} from '#src/auth/device.ts'
import { canonicalizeEmail, isEmail } from '#src/auth/email.ts'
import { createEncryption } from '#src/auth/encryption.ts'
import {
  consumeRecoveryCode,
  mintRecoveryCodes,
  mintTotpSecret,
  parseRecoveryCodes,
  totpQrCode,
  totpStep,
} from '#src/auth/second-factor.ts'
import { type PasswordStamp, parseSessionPayload } from '#src/auth/session.ts'
import { emailHash, isSignedLink, signLink } from '#src/auth/signed-link.ts'
import { DAY, MINUTE, NOW } from '../fixtures/clock.ts'
import { TEST_KEY } from '../support/app.ts'

const KEY = Buffer.from(TEST_KEY.slice('base64:'.length), 'base64')
const OTHER_KEY = Buffer.alloc(32, 7)

t.test("encryption in Laravel's format", async t => {
  /** An envelope with any content, made by hand after Laravel's format. */
  const seal = (bytes: Buffer | string, { key = KEY, iv = Buffer.alloc(16, 1) } = {}) => {
    const cipher = createCipheriv('aes-256-cbc', key, iv)
    const value = Buffer.concat([cipher.update(bytes), cipher.final()]).toString('base64')
    const mac = createHmac('sha256', key)
      .update(iv.toString('base64') + value)
      .digest('hex')
    return { iv: iv.toString('base64'), value, mac, tag: '' }
  }
  const pack = (envelope: unknown) => Buffer.from(JSON.stringify(envelope)).toString('base64')
  const { encrypt, decrypt } = createEncryption([KEY], () => Buffer.alloc(16, 1))

  await t.test('values that Laravel encrypted are read', async t => {
    // A cookie's text is not serialized; its first 41 characters are a prefix made of the cookie's name.
    const cookie = (prefix: string, letter: string) => seal(`${prefix}|${letter.repeat(40)}`)
    t.match(cookie('3d58370326099bd02ab4e9e66bc0f2f7ac6f29d6', 'T'), {
      value:
        'KzZdMaRv/VTPWA5N+nX/S7VJ80qOcYxUlmXebeFzJ9DUrvuKicIvJQNdod11C6b3rQmc0yw1uQZ0XQdly0JDV32PsGi0/5hlYLLVe7QfEyGSEG8ybgTo1fyYIbFHhULs',
      mac: '2b63a17a541936686fb0a7cebe8b95ff027bf711a08164687cf0b7e4fe97c292',
    })
    t.match(cookie('7198b0a1a7564e003b468667d6241918ce65aafa', 's'), {
      mac: '5777b965631723f6ee3b1da66d380ea5c7b949eabb47fbf7ece100cb5b427e08',
    })
    t.equal(encrypt('SECRET'), pack(seal('s:6:"SECRET";')))
    t.equal(encrypt('日本'), pack(seal('s:6:"日本";')), 'PHP counts bytes')
    t.match(JSON.parse(Buffer.from(encrypt('x'), 'base64').toString()), { tag: '' })
  })

  await t.test('all keys decrypt, and the first one encrypts', async t => {
    const { encrypt, decrypt } = createEncryption([OTHER_KEY, KEY], randomBytes)
    t.equal(decrypt(pack(seal('s:3:"old";'))), 'old')
    t.equal(decrypt(encrypt('new')), 'new')
    t.equal(createEncryption([OTHER_KEY], randomBytes).decrypt(encrypt('new')), 'new')
    t.equal(createEncryption([KEY], randomBytes).decrypt(encrypt('new')), null)
    t.not(encrypt('new'), encrypt('new'), 'each ciphertext differs')
    for (const text of ['', '"', '";', 'ä', '\0', 'x'.repeat(9_000)]) t.equal(decrypt(encrypt(text)), text)
  })

  await t.test('a modified ciphertext is null', async t => {
    const whole = seal('s:6:"SECRET";')
    t.equal(decrypt(pack(whole)), 'SECRET')
    const flipped = (base64: string) => {
      const bytes = Buffer.from(base64, 'base64')
      bytes[0] = (bytes[0] ?? 0) ^ 1
      return bytes.toString('base64')
    }
    const changed: unknown[] = [
      { ...whole, iv: flipped(whole.iv) },
      { ...whole, value: flipped(whole.value) },
      { ...whole, value: '' },
      { ...whole, mac: whole.mac.replace(/^./, digit => (digit === '0' ? '1' : '0')) },
      { ...whole, mac: whole.mac.toUpperCase() },
      { ...whole, mac: whole.mac.slice(1) },
      { ...whole, mac: '' },
      { ...whole, mac: null },
      { ...whole, mac: [whole.mac] },
      { ...whole, mac: 0 },
      { ...whole, tag: 'AAAAAAAAAAAAAAAAAAAAAA==' },
      { ...whole, tag: null },
      { ...whole, iv: '' },
      { ...whole, iv: undefined },
      { ...seal('s:6:"SECRET";', { key: OTHER_KEY }) },
      null,
      [],
      'text',
      {},
    ]
    for (const envelope of changed) t.equal(decrypt(pack(envelope)), null, JSON.stringify(envelope))
    const packed = pack(whole)
    for (let length = 0; length < packed.length; length += 7) {
      t.equal(decrypt(packed.slice(0, length)), null, `the first ${length} characters`)
    }
    for (const text of ['{}', '\0', '=', '日本', `${packed}${'A'.repeat(70_000)}`])
      t.equal(decrypt(text), null)
  })

  await t.test('only serialized strings are read', async t => {
    const values = [
      'O:8:"stdClass":0:{}',
      'a:1:{i:0;s:1:"x";}',
      'i:6;',
      'b:1;',
      'N;',
      'R:1;',
      's:7:"SECRET";',
      's:5:"SECRET";',
      's:6:"SECRET"',
      's:6:"SECRET";O:8:"stdClass":0:{}',
      's:999999999999:"SECRET";',
      's:-1:"";',
      's:6:SECRET;',
      'S:6:"SECRET";',
      ' s:6:"SECRET";',
      'SECRET',
      '',
      `${'a:1:{i:0;'.repeat(2_000)}N;${'}'.repeat(2_000)}`,
      '__proto__',
    ]
    for (const value of values) t.equal(decrypt(pack(seal(value))), null, value.slice(0, 60))
    t.equal(decrypt(pack(seal(Buffer.from('s:1:"\xff";', 'latin1')))), null, 'invalid UTF-8')
  })
})

t.test('TOTP codes', async t => {
  const rfc6238 = new OneTimeSecret({ buffer: new Uint8Array(Buffer.from('12345678901234567890')).buffer })
    .base32
  const vectors: [seconds: number, code: string][] = [
    [59, '287082'],
    [1111111109, '081804'],
    [1111111111, '050471'],
    [1234567890, '005924'],
    [2000000000, '279037'],
    [20000000000, '353130'],
  ]
  for (const [seconds, code] of vectors) {
    t.equal(totpStep(rfc6238, code, seconds * 1000), Math.floor(seconds / 30), `RFC 6238 at ${seconds}`)
  }
  const secret = mintTotpSecret(randomBytes)
  t.match(secret, /^[A-Z2-7]{32}$/)
  t.not(secret, mintTotpSecret(randomBytes))
  const step = Math.floor(NOW / 30_000)
  const codeOf = (offset: number) =>
    new TOTP({ secret: OneTimeSecret.fromBase32(secret) }).generate({ timestamp: NOW + offset * 30_000 })
  for (const offset of [-1, 0, 1]) t.equal(totpStep(secret, codeOf(offset), NOW), step + offset)
  for (const offset of [-3, -2, 2, 3]) t.equal(totpStep(secret, codeOf(offset), NOW), null, `${offset} steps`)
  t.equal(
    totpStep(secret, ` ${codeOf(0).slice(0, 3)} ${codeOf(0).slice(3)} `, NOW),
    step,
    'spaces are ignored',
  )
  for (const wrong of ['', '1', '12345', '1234567', 'abcdef', '１２３４５６', '12345é', '-12345', '1e5000']) {
    t.equal(totpStep(secret, wrong, NOW), null, wrong)
  }
  t.equal(
    totpQrCode('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', { issuer: 'Anime & Themes', account: 'a+b@example.org' })
      .url,
    'otpauth://totp/Anime%20%26%20Themes:a%2Bb%40example.org?issuer=Anime%20%26%20Themes&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30',
  )
})

t.test('recovery codes', async t => {
  const codes = mintRecoveryCodes(randomBytes)
  t.equal(new Set(codes).size, 8)
  for (const code of codes) t.match(code, /^[A-Za-z0-9]{10}-[A-Za-z0-9]{10}$/)
  const [first = '', second = ''] = codes
  const left = consumeRecoveryCode(codes, ` ${second}\n`, randomBytes) ?? []
  t.equal(left.length, 8, 'a new code replaces the used one')
  t.notOk(left.includes(second))
  t.strictSame(left.toSpliced(1, 1), codes.toSpliced(1, 1), 'the others are unchanged')
  for (const separated of [
    second.replace('-', ''),
    second.replace('-', '–'),
    second.replace('-', ' - '),
    second.replace('-', '\u2011\n'),
    [...second].join(' '),
    `\u00a0${second}\u200b`,
  ]) {
    t.equal(consumeRecoveryCode(codes, separated, randomBytes)?.length, 8, JSON.stringify(separated))
  }
  for (const wrong of [
    '',
    '-',
    first.slice(1),
    second.slice(0, 10),
    `${first}${second}`,
    first.toLowerCase(),
    `${first}x`,
    'x'.repeat(100_000),
  ]) {
    t.equal(consumeRecoveryCode(codes, wrong, randomBytes), null)
  }
  t.equal(consumeRecoveryCode([], '', randomBytes), null)
  t.strictSame(parseRecoveryCodes('["a-b"]'), ['a-b'])
  for (const wrong of ['', '{}', 'null', '"a-b"', '[1]', '[null]', '["a"'])
    t.equal(parseRecoveryCodes(wrong), null)
})

t.test('signed links', async t => {
  const url = 'https://api.example.org/email/verify/1/2ffd6fab'
  const link = signLink(url, NOW + 60 * MINUTE, TEST_KEY)
  const query = link.slice(url.length + 1)
  const expires = NOW / 1000 + 3600
  t.equal(
    link,
    `${url}?expires=${expires}&signature=${createHmac('sha256', TEST_KEY).update(`${url}?expires=${expires}`).digest('hex')}`,
    "the key is APP_KEY's text, base64: and all",
  )
  const isValid = (query: string, { at = NOW, address = url, keys = [TEST_KEY] } = {}) =>
    isSignedLink(address, query, at, keys)
  t.ok(isValid(query))
  t.ok(isValid(query, { keys: ['another', TEST_KEY] }), 'previous keys are valid')
  t.ok(isValid(query, { at: NOW + 60 * MINUTE }))
  t.notOk(isValid(query, { at: NOW + 60 * MINUTE + 1 }), 'expires after an hour')
  t.notOk(isValid(query, { keys: ['another'] }))
  t.notOk(isValid(query, { address: url.replace('https', 'http') }), 'the scheme is signed')
  t.notOk(isValid(query, { address: url.replace('api', 'evil') }))
  t.notOk(isValid(query, { address: url.replace('/1/', '/2/') }))
  const signature = query.slice(-64)
  const changed = [
    '',
    `expires=${expires}`,
    `signature=${signature}`,
    `${query}&expires=${expires}`,
    `expires=${expires}&${query}`,
    `${query}&signature=${signature}`,
    `expires[]=${expires}&signature=${signature}`,
    `expires=${expires + 1}&signature=${signature}`,
    `expires=0${expires}&signature=${signature}`,
    `expires=%31&signature=${signature}`,
    `expires=${expires}&signature=${signature.toUpperCase()}`,
    `expires=${expires}&signature=${signature.slice(1)}`,
    `expires=${expires}&signature=`,
    `expires=&signature=${signature}`,
    `expires=99999999999&signature=${'0'.repeat(64)}`,
  ]
  for (const other of changed) t.notOk(isValid(other), other)
  const tracked = [
    `signature=${signature}&expires=${expires}`,
    `${query}&utm_source=mail&utm_medium=email`,
    `fbclid=1&${query}`,
    `expires=${expires}&mc_eid=%zz&signature=${signature}&gclid`,
    `${query}&&`,
  ]
  for (const other of tracked) t.ok(isValid(other), other)
  t.equal(emailHash('a@b.c'), 'e2d6a40c8b4d3e6a2779ba1802ef29d13940a051')
})

t.test('e-mail addresses', async t => {
  const same: [typed: string, canonical: string][] = [
    ['demo@example.org', 'demo@example.org'],
    [' Demo.User+x@EXAMPLE.org. ', 'Demo.User+x@example.org'],
    ['ＤＥＭＯ@ｅｘａｍｐｌｅ．ｏｒｇ', 'DEMO@example.org'],
    ['Jose\u0301@example.org', 'josé@example.org'],
    ['JOSÉ@example.org', 'josé@example.org'],
    ['a@Bücher.example', 'a@xn--bcher-kva.example'],
    ['a@xn--bcher-kva.EXAMPLE', 'a@xn--bcher-kva.example'],
    ['no address', 'no address'],
    ['a@example.org/x', 'a@example.org/x'],
    ['a@example.org?x#y', 'a@example.org?x#y'],
    ['a@example.org\\x', 'a@example.org\\x'],
    ['a@exam%70le.org', 'a@exam%70le.org'],
    ['a@2130706433', 'a@2130706433'],
    ['a@0x7f.1', 'a@0x7f.1'],
    [`a@${'日'.repeat(900_000)}`, `a@${'日'.repeat(900_000)}`],
    ['@', '@'],
    ['@example.org', '@example.org'],
  ]
  for (const [typed, canonical] of same) t.equal(canonicalizeEmail(typed), canonical, typed.slice(0, 40))

  for (const right of [
    'a@b',
    'a.b+c_d-e@example.co.uk',
    "o'brien@example.org",
    'é@example.org',
    'a@xn--bcher-kva.example',
    `${'a'.repeat(64)}@example.org`,
  ]) {
    t.ok(isEmail(right), right)
  }
  for (const wrong of [
    '',
    'a',
    'nobody',
    '@b',
    'a@',
    'a b@c',
    'a@b c',
    'a@b..c',
    'a@.b',
    'a@b.',
    'a@-b',
    'a@b-',
    '.a@b',
    'a.@b',
    'a..b@c',
    'a@b@c',
    'a@b,c@d',
    'a@b\r\nBcc: c@d',
    'a\0@b',
    '"a@b"@c',
    '"a b"@c',
    'a(comment)@b',
    '<a@b>',
    'A <a@b>',
    'a@[127.0.0.1]',
    `${'a'.repeat(65)}@example.org`,
    '\ud800@b',
    'a@b/c',
    'a@2130706433',
    'a@127.0.0.1',
    'a@0x7f.1',
    'a@b?c',
  ]) {
    t.notOk(isEmail(wrong), JSON.stringify(wrong))
  }
  for (const long of [`${'a.'.repeat(50_000)}@b`, `a@${'a-'.repeat(50_000)}`, `a@${'a.'.repeat(50_000)}`]) {
    t.notOk(isEmail(long))
  }
})

t.test('tokens of remembered devices', async t => {
  const token = mintDeviceToken(randomBytes)
  t.match(token.reveal(), /^[\w-]{22}\.[\w-]{43}$/)
  t.match(JSON.stringify({ token }), /\[DeviceToken\]/, 'not serialized')
  const read = parseDeviceToken(token.reveal())
  t.equal(read?.selector, token.selector)
  t.equal(read?.digest(), token.digest())
  const next = mintDeviceToken(randomBytes, token.selector)
  t.equal(next.selector, token.selector)
  t.not(next.digest(), token.digest())
  const wrong = [
    '',
    '.',
    `${token.reveal()}x`,
    token.reveal().slice(1),
    `1|${'x'.repeat(60)}|hash`,
    'eyJpdiI6Ij',
  ]
  for (const text of wrong) t.equal(parseDeviceToken(text), null, text)

  const stamp = 'stamp' as PasswordStamp
  const other = mintDeviceToken(randomBytes, token.selector)
  const stored: StoredDevice = {
    userId: 1,
    validator: next.digest(),
    previous: token.digest(),
    createdAt: NOW,
    rotatedAt: NOW,
    isDelivered: true,
    expiresAt: NOW + 400 * DAY,
    password: stamp,
    ownerPassword: stamp,
  }
  const judge = (device: DeviceToken, change: Partial<StoredDevice> = {}, at = NOW) =>
    validateDeviceToken(device, { ...stored, ...change }, at)
  t.equal(judge(next), 'current')
  t.equal(judge(token), 'parallel')
  t.equal(judge(token, {}, NOW + MINUTE), 'parallel', 'within a minute')
  t.equal(judge(token, {}, NOW + MINUTE + 1), 'device_stolen')
  t.equal(judge(token, { isDelivered: false }, NOW + DAY), 'undelivered')
  t.equal(judge(other), 'device_stolen')
  t.equal(judge(other, { isDelivered: false }), 'device_stolen')
  t.equal(judge(token, { previous: null }), 'device_stolen')
  t.equal(validateDeviceToken(next, null, NOW), 'device_unknown')
  t.equal(judge(next, { expiresAt: NOW }), 'device_expired')
  t.equal(judge(next, { ownerPassword: null }), 'device_no_owner')
  t.equal(judge(next, { ownerPassword: 'changed' as PasswordStamp }), 'device_password_changed')
})

t.test('a session payload with an incomplete challenge is rejected', async t => {
  const challenge = { user_id: 1, password: 'stamp', remember: false, at: 1 }
  const parse = (change: object) =>
    parseSessionPayload(JSON.stringify({ created_at: 1, challenge: { ...challenge, ...change } }))
  t.match(parse({}), { challenge })
  for (const change of [{ user_id: '1' }, { password: null }, { remember: 1 }, { at: undefined }]) {
    t.equal(parse(change), null, JSON.stringify(change))
  }
  for (const challenge of [null, 1, 'x', []]) {
    t.equal(parseSessionPayload(JSON.stringify({ created_at: 1, challenge })), null)
  }
  t.equal(parseSessionPayload('{"created_at":1,"device":1}'), null)
})
