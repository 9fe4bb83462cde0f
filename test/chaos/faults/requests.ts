import { connect } from 'node:net'
import { type Fault, ONCE, type Result } from '../fault.ts'
import type { User } from '../seed.ts'
import type { Instance } from '../server.ts'
import { complaints, type Stand, withStand } from '../stand.ts'

const TARGETS = [
  'http://evil.example/api/me',
  'http://evil.example:99999/api/me',
  'HTTP://user:password@evil.example/admin/login',
  'https://evil.example/login?a=http://b',
  'http://[::1/api/me',
  'http://[::1]:/api/me',
  'http:///api/me',
  'http://',
  'http://evil.example',
  '//evil.example/api/me',
  '/\\evil.example/api/me',
  'file:///etc/passwd',
  '*',
  '/api/me/../../admin',
  '/api/%',
]

const HOSTS = [
  [],
  [''],
  ['127.0.0.1', 'evil.example'],
  ['evil.example', '127.0.0.1'],
  ['127.0.0.1', '127.0.0.1'],
  ['127.0.0.1:99999'],
  ['127.0.0.1:'],
  ['[::1'],
  ['a@127.0.0.1'],
  ['127.0.0.1/path'],
  ['\xff\xfe'],
  ['a'.repeat(5_000)],
  ['evil.example, 127.0.0.1'],
]

const FORWARDED = [
  '',
  ',',
  ', , ,',
  'unknown',
  '_hidden',
  '::',
  '::ffff:1.2.3.4',
  '1.2.3.4.5',
  '999.1.1.1',
  '0x7f.1',
  '1.2.3.4:80',
  '1.2.3.4:99999',
  '[::1]:80',
  '[::1',
  'fe80::1%eth0',
  '"2001:db8::1"',
  '\x80\xff',
  "' or 1=1 --",
  'a'.repeat(8_000),
  '1.1.1.1, '.repeat(800),
  '127.0.0.1, garbage, 127.0.0.1',
]

const PATHS = [
  '/api/me',
  '/api/playlist',
  '/admin/login',
  '/sanctum/csrf-cookie',
  '/health/ready',
  '/',
  '/docs',
]

/** Sends the raw head of a request and returns the status of the response; null if there is none. */
function statusOf(
  base: string,
  line: string,
  headers: readonly (readonly [string, string])[],
): Promise<number | null> {
  const { hostname, port } = new URL(base)
  return new Promise(resolve => {
    const socket = connect(Number(port), hostname)
    let received = ''
    socket.setTimeout(10_000, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
      if (received.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1]) || null))
    const lines = [...headers, ['Connection', 'close']].map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
  })
}

/** Sends malformed and hostile requests; no response may be a 5xx. */
async function sendGarbage({ instances, users }: Stand): Promise<Result> {
  const [{ token }] = users as [User]
  const wrong: string[] = []
  let requests = 0
  const ask = async ({ base, name }: Instance, line: string, headers: (readonly [string, string])[]) => {
    requests += 1
    const status = await statusOf(base, line, headers)
    if (status !== null && status < 500) return
    const shown = headers.map(([name, value]) => `${name}: ${value.slice(0, 40)}`).join(', ')
    wrong.push(`${line} with ${shown} on ${name}: expected no 5xx, got ${status ?? 'no answer'}`)
  }
  const authorization = ['Authorization', `Bearer ${token}`] as const
  for (const instance of instances) {
    for (const method of ['GET', 'POST', 'OPTIONS']) {
      for (const target of TARGETS) {
        await ask(instance, `${method} ${target}`, [['Host', '127.0.0.1'], authorization])
        await ask(instance, `${method} ${target}`, [
          ['Host', 'evil.example'],
          ['Origin', 'http://localhost:3000'],
        ])
      }
    }
    for (const path of PATHS) {
      for (const hosts of HOSTS) {
        const headers = hosts.map(host => ['Host', host] as const)
        await ask(instance, `GET ${path}`, [...headers, authorization])
        await ask(instance, `GET ${path}`, [...headers, ['Referer', 'http://localhost:3000/']])
      }
      for (const value of FORWARDED) {
        const host = ['Host', '127.0.0.1'] as const
        await ask(instance, `GET ${path}`, [host, ['X-Forwarded-For', value], authorization])
        for (const header of [
          'X-Forwarded-Host',
          'X-Forwarded-Proto',
          'X-Forwarded-Ip',
          'X-Forwarded-Port',
          'Forwarded',
        ]) {
          await ask(instance, `GET ${path}`, [host, ['X-Forwarded-For', '1.2.3.4'], [header, value]])
        }
      }
    }
  }
  return {
    requests,
    acknowledged: 0,
    wrong: [...wrong, ...complaints(instances[0])],
    lost: [],
    recovery: null,
  }
}

/** Faults of malformed requests. */
export const requestFaults: Fault[] = [
  {
    name: 'foreign targets, hosts and forwarded headers',
    caches: ONCE,
    quick: ONCE,
    run: (world, cache, folder) =>
      withStand(world, cache, folder, sendGarbage, name => ({
        TRUSTED_PROXIES: 'loopback',
        LOCAL_IPS: '127.0.0.1',
        // Without the host check the request reaches further steps.
        APP_ENV: name === 'A' ? 'production' : 'local',
      })),
  },
]
