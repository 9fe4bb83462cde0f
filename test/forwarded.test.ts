import fc from 'fast-check'
import fastify from 'fastify'
import t from 'tap'
import { forwardedBy } from '../src/forwarded.ts'

const address = fc.constantFrom(
  '127.0.0.1',
  '10.0.0.1',
  '198.51.100.7',
  '::ffff:10.0.0.2',
  'fc00::1',
  'x',
  '',
)
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
    const forwarded = forwardedBy(proxies)
    const app = fastify({ trustProxy: forwarded.trustProxy })
    t.teardown(() => app.close())
    app.get('/', async request => ({
      fastify: [request.ip, request.host],
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

t.test('of a connection that has ended already there is no address', async t => {
  const ended = { socket: {}, headers: { 'x-forwarded-for': '10.0.0.1', host: 'a' } }
  for (const proxies of [[], ['*'], ['10.0.0.1']]) {
    const { addressOf, hostOf } = forwardedBy(proxies)
    t.equal(addressOf(ended as never), '')
    t.equal(hostOf(ended as never), 'a')
  }
})
