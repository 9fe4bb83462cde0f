import t from 'tap'
import {
  effectiveLength,
  findNamesake,
  foldPassword,
  isCommonPassword,
  isRepetitive,
} from '#src/auth/guessable-password.ts'
import { passwordWeaknesses } from '#src/auth/password.ts'
import { commonPasswords } from '#src/screening/common-passwords.ts'

const LIST = new Set(['password', 'letmein', 'abc123', '1qaz2wsx', 'cat', 'love', '123456'].map(foldPassword))
const NO_OWNER = { siteName: 'AnimeThemes', siteHost: 'api.animethemes.moe' }

t.test('common passwords, with decorations and substitutions, are refused', async t => {
  for (const [how, ...passwords] of [
    ['as it is', 'password', '123456', 'cat'],
    ['in other case', 'PassWord'],
    ['with diacritics and wide letters', 'Pässwörd', 'ＰＡＳＳＷＯＲＤ'],
    ['with lookalikes', 'P@ssw0rd', 'p4$5w0rd', 'L3+m31n', '1e7me!n'],
    [
      'with decoration',
      'P@ssw0rd2024!',
      '2024Password',
      '!!password!!',
      'Abc123!!',
      '*Cat2024!',
      'L0ve-1998',
    ],
    [
      'with one symbol in a row',
      'Passw0rd!!!!!!!!!!!!!!!!',
      'Password1--------------------',
      'letmein0000000000000000',
    ],
    ['with symbols of the digits above', '!QAZ2wsx', '1qaz@WSX'],
    ['with separators', 'pass-word_1', 'P-a-s-s-w-o-r-d'],
    [
      'repeated',
      'passwordpassword',
      'Password Password',
      'love-love-love-love',
      '!!password1password1',
      'Love1Love1Love1Lo',
    ],
    ['repeated with something else', 'passwordpasswordx', 'password1 Password2'],
  ] as const) {
    for (const password of passwords) t.ok(isCommonPassword(password, LIST), `${how}: ${password}`)
  }
})

t.test('a password that contains a common word is allowed', async t => {
  for (const password of [
    'my password is long',
    'passport',
    'lovely-day',
    'love82950173641',
    '4cat-xY!9kq',
    '82c95t17',
    '48201957382194612345',
    '^~=*-_;:.,#%&?"',
    'a^~=*-_;:.,#%&?"',
    'correct horse battery staple',
  ]) {
    t.notOk(isCommonPassword(password, LIST), password)
  }
})

t.test('decorated passwords of the list are refused', async t => {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const list = dictionary['passwords-common']
  t.ok(list.length > 40_000)
  const common = await commonPasswords()
  t.equal(await commonPasswords(), common, 'loaded once')
  const capitalised = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1)
  for (const [how, changed] of [
    ['as it is', password => password],
    ['with a capital, a digit and a symbol', password => `${capitalised(password)}1!`],
    [
      'with lookalikes',
      password => capitalised(password.replaceAll('a', '@').replaceAll('o', '0')).concat('#7'),
    ],
    ['twice', password => password + password],
  ] as [string, (password: string) => string][]) {
    const allowed = list.map(changed).filter(password => passwordWeaknesses(password).length === 0)
    t.ok(allowed.length > 0)
    t.strictSame(
      allowed.filter(password => !isCommonPassword(password, common)),
      [],
      `${how}: ${allowed.length} of ${list.length} pass the other rules`,
    )
  }
})

t.test('repeated characters and sequences count as one', async t => {
  for (const [password, length] of [
    ['', 0],
    ['a', 1],
    ['aaaaaaaaaaaaaaaaaaaa', 1],
    ['AaAaAaAa', 1],
    ['abcdefghijklmnop', 1],
    ['ponmlkjihgfedcba', 1],
    ['aabbccddeeff', 1],
    ['12345678901234567890', 2],
    ['!@#$%^&*()', 1],
    ['qwertyuiopasdfgh', 2],
    ['1qaz2wsx3edc4rfv', 4],
    ['xk7!xk7!xk7!', 5],
    ['correct horse battery staple', 26],
    ['😀😀😀😀', 2],
  ] as const) {
    t.equal(effectiveLength(password), length, password)
  }
})

t.test('passwords of sequences are refused, words and random ones are not', async t => {
  for (const password of [
    'aaaaaaaaaaaaaaa',
    'Aaaaaaa1!',
    'Abcdefg1!',
    'Qwerty12!',
    'Xy7!Xy7!',
    'abcabcabcabcabcabc',
    'xk7!qm2xk7!qm2xk7!qm2',
    'abcdefghijklmnopqrstuvwxyz',
    'qwertyuiopasdfghjkl',
    '123456789012345',
    'ああああああああああああああああ',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaB1!x',
  ]) {
    t.ok(isRepetitive(password), password)
  }
  for (const password of [
    '1a2b3c4d5e6f7g8h',
    '1q2w3e4r5t6y7u8i9o0p',
    'Qawsedrftgyhujik1',
    'azbycxdwevfugthsir',
    'йцукенгшщзхъфыв',
    'Фывапролджэячсм1',
    'Zse4Xdr5Cft6',
  ]) {
    t.ok(isRepetitive(password), password)
  }
  for (const password of [
    'Xk7!Qm#2',
    'Xk77!Qm2',
    'Xk7!Qm#2Xk7!Qm#2',
    '^~=*-_;:.,#%&?"',
    'Correct horse 1',
    'correct horse battery staple',
    'to be or not to be',
    '482019573821946',
    'zcdqmfwmkvebftt',
  ]) {
    t.notOk(isRepetitive(password), password)
  }
})

t.test('passwords derived from the name, address or site are refused', async t => {
  const nadia = { ...NO_OWNER, name: 'Nadia_Fox', email: 'n.petrova+wiki@music-lovers.example.org' }
  for (const [password, namesake] of [
    ['Nadia_Fox1!', 'name'],
    ['N@d1af0x-2024', 'name'],
    ['xof-Nadia-1', 'name'],
    ['nadianadianadia', 'name'],
    ['Petrova1998!', 'email'],
    ['n.petrova+wiki@music-lovers', 'email'],
    ['Example-2024!', 'email'],
    ['Music-lovers1', 'email'],
    ['AnimeThemes1!', 'site'],
    ['4n1m3-Th3m35', 'site'],
    ['Anime2024!', 'site'],
    ['api.animethemes.moe', 'site'],
    ['animethemes-forever', 'site'],
    ['Correct horse 1', null],
    ['Nadias-Great-Escape', null],
    ['anime is what I like to watch', null],
    ['a-fox-in-the-snow', null],
  ] as const) {
    t.equal(findNamesake(password, nadia), namesake, password)
  }
  const numbered = { ...NO_OWNER, name: 'user-8812345678' }
  t.equal(findNamesake('user-8812345678-2024!', numbered), 'name', 'more digits than a decoration')
  t.equal(findNamesake('User-8812345678', numbered), 'name')
  for (const password of ['Nafadlez1!', 'zelda.fan................', 'Zelda_fan1!!!!!!!!!!!!!!!!']) {
    t.equal(findNamesake(password, { ...NO_OWNER, name: 'zelda_fan' }), 'name', password)
  }
  t.equal(findNamesake('AnimeThemes................', NO_OWNER), 'site')
  t.equal(findNamesake('Bob12345!', { ...NO_OWNER, name: 'bob' }), 'name', 'a name of three letters')
  t.equal(findNamesake('Bobsleigh-run-7', { ...NO_OWNER, name: 'bob' }), null)
  t.equal(findNamesake('Xk7!Qm#2', { ...NO_OWNER, name: '', email: '' }), null)
  t.equal(findNamesake('Xk7!Qm#2', { ...NO_OWNER, name: null, email: 'no address' }), null)
  t.equal(findNamesake('Localhost1!', { siteName: 'X', siteHost: 'localhost' }), 'site')
  t.equal(
    findNamesake('127.0.0.1-aB', { siteName: 'X', siteHost: '127.0.0.1' }),
    null,
    'an IP address is not a name',
  )
  t.equal(findNamesake('x'.repeat(20), { ...NO_OWNER, name: 'y'.repeat(100_000) }), null)
})
