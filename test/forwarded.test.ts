import fc from 'fast-check'
import fastify from 'fastify'
import t from 'tap'
import { canonicalizeAddress } from '#src/auth/address-list.ts'
import { createForwardedReader } from '#src/http/forwarded.ts'

const address = fc.constantFrom('127.0.0.1', '10.0.0.1', '198.51.100.7', '::ffff:10.0.0.2', 'fc00::1')
const host = fc.constantFrom('a.test', 'b.test:8000', '[::1]:80', '', ' ')
const list = (item: fc.Arbitrary<string>) => fc.array(item, { maxLength: 3 }).map(items => items.join(', '))

t.test('who sent a request, and to where, is what Fastify says', async t => {
  for (const proxies of [
    [],
    ['*'],
    ['127.0.0.1'],
    ['loopback', 'uniquelocal'],
    ['10.0.0.0/8', '127.0.0.0/8'],
  ]) {
    const forwarded = createForwardedReader(proxies)
    const app = fastify({ trustProxy: forwarded.trustProxy })
    t.teardown(() => app.close())
    app.get('/', async request => ({
      fastify: [canonicalizeAddress(request.ip), request.host],
      ours: [forwarded.addressOf(request.raw), forwarded.hostOf(request.raw)],
    }))
    const headers = fc.record(
      { 'x-forwarded-for': list(address), 'x-forwarded-host': list(host), host },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(
        headers,
        fc.constantFrom('127.0.0.1', '198.51.100.1'),
        async (headers, remoteAddress) => {
          const { fastify, ours } = (await app.inject({ url: '/', headers, remoteAddress })).json()
          t.strictSame(ours, fastify, JSON.stringify({ proxies, headers, remoteAddress }))
        },
      ),
      { numRuns: 100 },
    )
  }
})

t.test('an address has one spelling', async t => {
  for (const [spelled, address] of [
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
    t.equal(canonicalizeAddress(spelled), address, spelled)
  }
})

t.test('X-Forwarded-For in any spelling, and what is no address in it', async t => {
  const { addressOf } = createForwardedReader(['127.0.0.1', '10.0.0.0/8', 'fd00::/8'])
  for (const [forwarded, address] of [
    ['198.51.100.7', '198.51.100.7'],
    ['203.0.113.9, 198.51.100.7:5000', '198.51.100.7'],
    ['203.0.113.9, [2001:db8::7]:5000', '2001:db8::7'],
    ['198.51.100.7, 10.0.0.1:5000', '198.51.100.7'],
    ['198.51.100.7, ::ffff:10.0.0.1, [fd00::1]:80', '198.51.100.7'],
    ['198.51.100.7, garbage, 10.0.0.1', '10.0.0.1'],
    ['198.51.100.7,', '127.0.0.1'],
    ['unknown', '127.0.0.1'],
    ['x'.repeat(10_000), '127.0.0.1'],
    ['1'.repeat(46), '127.0.0.1'],
    ['', '127.0.0.1'],
  ] as const) {
    const request = {
      socket: { remoteAddress: '::ffff:127.0.0.1' },
      headers: { 'x-forwarded-for': forwarded },
    }
    t.equal(addressOf(request as never), address, forwarded.slice(0, 60))
  }
})

t.test('of a connection that has ended already there is no address', async t => {
  const ended = { socket: {}, headers: { 'x-forwarded-for': '10.0.0.1', host: 'a' } }
  for (const proxies of [[], ['*'], ['10.0.0.1']]) {
    const { addressOf, hostOf } = createForwardedReader(proxies)
    t.equal(addressOf(ended as never), '')
    t.equal(hostOf(ended as never), 'a')
  }
})
