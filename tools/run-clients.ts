/**
 * Runs the programs in clients/ against a server with demo data: `make clients`. They use clients that are generated from
 * the OpenAPI document, and fail if an answer is not as its types say.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const PROGRAMS = ['openapi-fetch', 'hey-api']

// Unless every program succeeds, even if the server does not start.
process.exitCode = 1
const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-clients-'))
const server = spawn(process.execPath, ['dist/src/main.js', 'serve'], {
  env: { PATH: process.env.PATH, DATA_DIR: join(folder, 'data'), PORT: '0', HASH_ROUNDS: '4' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  for await (const line of createInterface({ input: server.stdout })) {
    const [, token, url] = /'Authorization: Bearer (\S+)' (\S+)\/api\/me/.exec(line) ?? []
    if (token === undefined || url === undefined) continue
    const failed = PROGRAMS.filter(program => {
      const { status } = spawnSync(process.execPath, [`clients/generated/dist/${program}.js`], {
        env: { PATH: process.env.PATH, API_URL: url, TOKEN: token },
        stdio: 'inherit',
      })
      process.stdout.write(`clients/${program}.ts: ${status === 0 ? 'ok' : 'failed'}\n`)
      return status !== 0
    })
    if (failed.length === 0) process.exitCode = 0
    break
  }
} finally {
  server.kill()
  rmSync(folder, { recursive: true, force: true })
}
