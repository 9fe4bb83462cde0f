import { pace } from './load.ts'
import { ownServer, type Server, UNLIMITED, withServers } from './servers.ts'
import { isSelected } from './settings.ts'
import type { Stage } from './stage.ts'
import { fixed, printTable } from './table.ts'

const MODES = [
  { name: 'revocations, strict', environment: { IDENTITY_CACHE: 'off' } },
  { name: 'revocations, cached', environment: { IDENTITY_CACHE: 'on' } },
]

/** Requests per second to each instance meanwhile. */
const PACE = 200

const COUNT = 1_000

/** Measures how long a revoked token is still accepted by two instances under load, and prints a table. */
export async function measureRevocations(stage: Stage): Promise<void> {
  const rows: (string | number)[][] = []
  for (const { name, environment } of MODES.filter(isSelected)) {
    const program = ownServer({
      // Otherwise a caller with so many refusals would be limited.
      RATE_LIMIT_FAILED_AUTH: UNLIMITED,
      RATE_LIMIT_ANONYMOUS: UNLIMITED,
      ...environment,
    })
    rows.push([name, ...(await withServers(stage, [program, program], servers => measure(stage, servers)))])
    process.stderr.write(`${name}\n`)
  }
  if (rows.length === 0) return
  printTable(
    ['look-ups', 'revoked', 'accepted afterwards', 'last accepted after, p50 ms', 'p99 ms', 'max ms'],
    rows,
    `two instances with ${PACE} requests a second each, ${COUNT.toLocaleString('en')} tokens revoked one by one in the database`,
  )
}

async function measure(stage: Stage, servers: Server[]): Promise<(string | number)[]> {
  const tokens = stage.calls.allTokens.slice(-COUNT)
  let isOver = false
  const busy = Promise.all(
    servers.map(async server => {
      while (!isOver) await pace(server, stage.calls.tokens, { path: '/api/me', rate: PACE, seconds: 1 })
    }),
  )
  const late: number[] = []
  let accepted = 0
  try {
    for (const { headers } of tokens) {
      const status = async ({ url }: Server) => (await fetch(`${url}/api/me`, { headers })).status
      for (const server of servers) {
        // Twice, so that it is cached.
        for (const expected of [200, 200])
          if ((await status(server)) !== expected) throw new Error('a token is dead')
      }
      const id = /(\d+)\|/.exec(headers.authorization ?? '')?.[1]
      await stage.query(
        `update personal_access_tokens set expires_at = '2000-01-01' where id = ${id} returning id`,
      )
      const from = performance.now()
      // A request sent after the commit counts, with the time at which it was sent.
      const last = await Promise.all(
        servers.map(async server => {
          let at = 0
          for (;;) {
            const sent = performance.now()
            if ((await status(server)) === 401) return at
            accepted += 1
            at = sent - from
          }
        }),
      )
      late.push(...last)
    }
  } finally {
    isOver = true
    await busy
    await stage.query(
      `update personal_access_tokens set expires_at = null where expires_at = '2000-01-01' returning 1`,
    )
  }
  late.sort((a, b) => a - b)
  const at = (share: number) => fixed(late[Math.ceil(share * late.length) - 1] ?? 0, 1)
  return [tokens.length, accepted, at(0.5), at(0.99), at(1)]
}
