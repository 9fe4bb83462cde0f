import t from 'tap'
import { browserName } from '#src/auth/browser-name.ts'
import { displayedAddress, loginNetwork } from '#src/limits/client-address.ts'
import { createMessages } from '#src/mail/messages.ts'
import { CHROME, FIREFOX, NEWER_FIREFOX } from '../fixtures/mailing.ts'

const TO = { name: 'x', email: 'x@example.org' }

t.test('browserName() names browser and system without version', async t => {
  const names: [string | undefined, string][] = [
    [FIREFOX, 'Firefox on Linux'],
    [NEWER_FIREFOX, 'Firefox on Linux'],
    [CHROME, 'Chrome on Windows'],
    [`${CHROME} Edg/139.0.0.0`, 'Edge on Windows'],
    [`${CHROME} OPR/120.0.0.0`, 'Opera on Windows'],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
      'Safari on iPhone',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
      'Safari on macOS',
    ],
    [
      'Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36',
      'Samsung Internet on Android',
    ],
    ['curl/8.5.0', 'curl'],
    ['python-requests/2.32', 'a Python program'],
    ['Mozilla/5.0 (X11; Linux x86_64) Something/1', 'a program on Linux'],
    [undefined, 'an unknown program'],
    ['<b>Firefox</b>\nBcc: x', 'an unknown program'],
    [`${' '.repeat(100_000)}Firefox/1`, 'an unknown program'],
  ]
  for (const [userAgent, name] of names) t.equal(browserName(userAgent), name, name)
})

t.test('loginNetwork() and displayedAddress()', async t => {
  t.equal(loginNetwork({ networks: [{ key: '198.51.100.7', share: 1 }] }), '198.51.100.0/24')
  const [own, wide] = ['2001:db8:1:2::', '2001:db8:1::/48']
  const networks = [
    { key: own, share: 1 },
    { key: wide, share: 16 },
  ]
  t.equal(loginNetwork({ networks }), wide)
  t.equal(displayedAddress({ ip: '2001:db8:1:2::3', key: own }), '2001:db8:1:2::3')
  t.equal(
    displayedAddress({ ip: '10.0.0.5', key: '198.51.100.7' }),
    '198.51.100.7',
    'a forwarded address behind LOCAL_IPS',
  )
})

t.test('actions of staff name no person, and texts are escaped', async t => {
  const texts = createMessages('A & B')
  const notice = { at: 0, from: null, notMeUrl: 'https://api.example.org/?a=1&b="><script>' }
  const byStaff = texts.secondFactorRemoved({ ...TO, name: '<i>' }, notice)
  t.match(byStaff.text, /^When: 1970-01-01 00:00 UTC\nBy: staff$/m)
  t.notMatch(byStaff.html, /<i>|<script>/)
  const odd = { at: 0, from: { address: '<b>', program: '<b>' }, notMeUrl: notice.notMeUrl }
  const mail = texts.tokenCreated(TO, odd, { name: `<b>\u202e\n${'é'.repeat(80)}` })
  t.notMatch(mail.html, /<b>|<script>/)
  t.match(mail.text, `“<b> ${'é'.repeat(56)}…”`)
})

t.test('a list of more than twenty tokens is shortened', async t => {
  const tokens = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ name: `t${n}`, endsAt: n })) as [
      { name: string; endsAt: number },
    ]
  const page = { tokensUrl: 'https://api.example.org/admin' }
  const { tokensEnding } = createMessages('X')
  t.equal(tokensEnding(TO, tokens(1), page).subject, 'A token of yours for X ends soon')
  t.notMatch(tokensEnding(TO, tokens(20), page).text, /more/)
  t.match(tokensEnding(TO, tokens(21), page).text, /“t19” ends at .*\n- and 1 more/)
})

t.test('mails name SECURITY_CONTACT', async t => {
  const deleted = (contact: string | null) =>
    createMessages('X', contact).accountDeleted(TO, { at: 0, from: null }, { days: 30 }).text
  t.match(deleted('mailto:help@example.org'), /the operators \(help@example\.org\) can restore it/)
  t.match(deleted('https://example.org/help'), /the operators \(https:\/\/example\.org\/help\) can/)
  t.match(deleted(null), /the operators can restore it/)
})
