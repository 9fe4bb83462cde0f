/**
 * `node dist/bench/floods/bodies.js`: what a hundred large requests of one address cost a server that knows neither the
 * address nor any credential, by the CPU time that it takes, and how they are answered.
 */
import { type IncomingMessage, request } from 'node:http'
import { cpuSeconds } from '../processes.ts'
import { ours, type Server, withServer } from '../servers.ts'
import { isAskedFor } from '../settings.ts'
import { onStage } from '../stage.ts'
import { fixed, printTable } from '../table.ts'

const REQUESTS = 100
const AT_ONCE = 8
const MEGABYTE = 1_048_576

const FORM = 'application/x-www-form-urlencoded'

/** A form of a size, made of a part that is repeated. */
const filled = (start: string, part: string, size: number) =>
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
    body: filled('email=', '%61', MEGABYTE - 10),
  },
  {
    name: 'form of escapes, 1 MB, to /admin/login',
    path: '/admin/login',
    type: FORM,
    body: filled('email=', '%61', MEGABYTE - 10),
  },
  {
    name: 'form with _method, 64 KB, to an unknown path',
    path: '/nowhere',
    type: FORM,
    body: filled('_method=PUT&a=', '%61', 65_000),
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
].filter(isAskedFor)

/** Sends one request; answers may come before the whole body is sent. */
function send({ url }: Server, { path, type, body }: Kind): Promise<number> {
  return new Promise(resolve => {
    const headers = {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      // What browsers say of a page of this very origin, so that the body is what is looked at.
      'sec-fetch-site': 'same-origin',
    }
    const sent = request(url + path, { method: 'POST', headers, agent: false })
    sent.once('response', (answer: IncomingMessage) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
      sent.destroy()
    })
    sent.once('error', () => resolve(0))
    sent.end(body)
  })
}

await onStage(async stage => {
  const rows: (string | number)[][] = []
  for (const kind of KINDS) {
    await withServer(stage, ours(), async server => {
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
      // What goes on after an answer counts as well.
      await fetch(`${server.url}/health/live`)
      const spent = cpuSeconds(server.pid) - before
      const answers = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} × ${status}`)
      rows.push([
        kind.name,
        fixed(spent, 2),
        fixed((spent / REQUESTS) * 1000, 1),
        answers.join(', ').replace('× 0', '× cut off'),
      ])
    })
  }
  printTable(
    ['sent by one address', 'CPU s', 'ms a request', 'answers'],
    rows,
    `${REQUESTS} requests of each kind, ${AT_ONCE} at a time, with the limits of the defaults`,
  )
})
