import t from 'tap'
import {
  canonicalizeAddress,
  containsRanges,
  includesAddress,
  isAddressOrRange,
  parseAllowedIps,
} from '#src/auth/address-list.ts'

t.test('address lists with ranges', async t => {
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
  t.notOk(includesAddress([], '192.0.2.1'), 'an empty list')
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
    t.strictSame(parseAllowedIps(text), [], 'an unreadable list is empty')
})

t.test('canonicalAddress() normalizes addresses and rejects invalid ones', async t => {
  for (const [spelling, address] of [
    ['198.51.100.7', '198.51.100.7'],
    ['198.51.100.7:51234', '198.51.100.7'],
    [' 198.51.100.7\t', '198.51.100.7'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
    ['::FFFF:c633:6407', '198.51.100.7'],
    ['0:0:0:0:0:ffff:198.51.100.7', '198.51.100.7'],
    ['[::ffff:198.51.100.7]:443', '198.51.100.7'],
    ['2001:DB8:0:0::7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:db8::7]:51234', '2001:db8::7'],
    ['[198.51.100.7]:80', '198.51.100.7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:80', 'fe80::1'],
    ['::1', '::1'],
    ['0000:0000:0000:0000:0000:0000:0000:0001', '::1'],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', '255.255.255.255'],
    ['', null],
    ['unknown', null],
    ['_hidden', null],
    ['198.51.100.07', null],
    ['198.51.100.256', null],
    ['198.51.100.7:', null],
    ['2001:db8::7:51234:1:2:3:4:5', null],
    ['[]', null],
    ['[2001:db8::7', null],
    ['%', null],
    ['1'.repeat(46), null],
    ['\0', null],
    ["127.0.0.1' or 1=1", null],
  ] as const) {
    t.equal(canonicalizeAddress(spelling), address, spelling)
  }
})
