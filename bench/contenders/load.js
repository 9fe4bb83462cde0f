/** Loads a server: the arguments are the address, seconds, connections, and a file with one request's headers a line. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const [url, seconds, connections, file] = process.argv.slice(2)
const requests = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map(line => ({ headers: JSON.parse(line) }))
let next = 0

const result = await autocannon({
  url,
  duration: Number(seconds),
  connections: Number(connections),
  // Each connection has callers of its own, so that no two ask for the same at once.
  setupClient(client) {
    const share = Math.max(1, Math.floor(requests.length / Number(connections)))
    client.setRequests(requests.slice(next, next + share))
    next = (next + share) % requests.length
  },
})
process.stdout.write(
  JSON.stringify({
    rate: result.requests.average,
    p50: result.latency.p50,
    p99: result.latency.p99,
    requests: result['2xx'],
    failed: result.non2xx + result.errors,
  }),
)
