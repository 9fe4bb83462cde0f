/**
 * `node dist/bench/floods/bodies.js`: measures the CPU time that a hundred large requests of one unauthenticated
 * address cost the server, and its responses.
 */
import { type IncomingMessage, request } from 'node:http'
import { cpuSeconds } from '../processes.ts'
import { ownServer, type Server, withServer } from '../servers.ts'
import { isSelected } from '../settings.ts'
import { onStage } from '../stage.ts'
import { fixed, printTable } from '../table.ts'

const REQUESTS = 100
const AT_ONCE = 8
const MEGABYTE = 1_048_576

const FORM = 'application/x-www-form-urlencoded'

/** Makes a form of a size from a repeated part. */
const formOf = (start: string, part: string, size: number) =>
  start + part.repeat(Math.floor((size - start.length) / part.length))

interface Kind {
  name: string
  path: string
  type: string
  body: string
}

const KINDS: Kind[] = [
  {
    name: 'form of escapes, 1 MB, to /login',
    path: '/login',
    type: FORM,
    body: formOf('email=', '%61', MEGABYTE - 10),
  },
  {
    name: 'form of escapes, 1 MB, to /admin/login',
    path: '/admin/login',
    type: FORM,
    body: formOf('email=', '%61', MEGABYTE - 10),
  },
  {
    name: 'form with _method, 64 KB, to an unknown path',
    path: '/nowhere',
    type: FORM,
    body: formOf('_method=PUT&a=', '%61', 65_000),
  },
  {
    name: 'JSON of 100,000 fields, 1 MB, to /login',
    path: '/login',
    type: 'application/json',
    body: `{${Array.from({ length: 80_000 }, (_, n) => `"f${n}":${n % 10}`).join(',')}}`,
  },
  {
    name: 'JSON of arrays in arrays, 1 MB, to /register',
    path: '/register',
    type: 'application/json',
    body: `{"name":${'['.repeat(300_000)}${']'.repeat(300_000)}}`,
  },
].filter(isSelected)

/** Sends one request; the response may arrive before the whole body is sent. */
function send({ url }: Server, { path, type, body }: Kind): Promise<number> {
  return new Promise(resolve => {
    const headers = {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      // What browsers send from a page of this origin, so that the body is parsed.
      'sec-fetch-site': 'same-origin',
    }
    const sent = request(url + path, { method: 'POST', headers, agent: false })
    sent.once('response', (response: IncomingMessage) => {
      response.resume()
      resolve(response.statusCode ?? 0)
      sent.destroy()
    })
    sent.once('error', () => resolve(0))
    sent.end(body)
  })
}

await onStage(async stage => {
  const rows: (string | number)[][] = []
  for (const kind of KINDS) {
    await withServer(stage, ownServer(), async server => {
      for (let n = 0; n < 3; n++) await send(server, { ...kind, body: kind.body.slice(0, 0) })
      const before = cpuSeconds(server.pid)
      const statuses = new Map<number, number>()
      let left = REQUESTS
      const worker = async () => {
        while (left > 0) {
          left -= 1
          const status = await send(server, kind)
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, worker))
      // Work after a response counts too.
      await fetch(`${server.url}/health/live`)
      const spent = cpuSeconds(server.pid) - before
      const responses = [...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${count} × ${status}`)
      rows.push([
        kind.name,
        fixed(spent, 2),
        fixed((spent / REQUESTS) * 1000, 1),
        responses.join(', ').replace('× 0', '× cut off'),
      ])
    })
  }
  printTable(
    ['sent by one address', 'CPU s', 'ms a request', 'responses'],
    rows,
    `${REQUESTS} requests of each kind, ${AT_ONCE} at a time, with the limits of the defaults`,
  )
})
