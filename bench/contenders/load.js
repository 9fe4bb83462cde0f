/** Loads a server. The argument is autocannon's options as JSON; the input has a request a line, as JSON too. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const options = JSON.parse(process.argv[2])
const requests = readFileSync(0, 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line))
let next = 0

const result = await autocannon({
  ...options,
  // Each connection has callers of its own, so that no two ask for the same at once.
  setupClient(client) {
    const share = Math.max(1, Math.floor(requests.length / options.connections))
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
