/**
 * Compiles on each change and restarts the server after each compilation without errors: `make dev`. Settings are those of
 * `make run`.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

let server = null

async function restart() {
  if (server !== null && server.exitCode === null) {
    const ended = new Promise(resolve => server.once('exit', resolve))
    server.kill('SIGTERM')
    await ended
  }
  server = spawn(process.execPath, ['--enable-source-maps', 'dist/src/main.js', 'serve'], {
    stdio: 'inherit',
  })
}

const compiler = spawn(
  process.execPath,
  [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.json',
    '--watch',
    '--preserveWatchOutput',
    '--pretty',
    'false',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
let restarting = Promise.resolve()
createInterface({ input: compiler.stdout }).on('line', line => {
  process.stdout.write(`${line}\n`)
  if (/ Found 0 errors\. /.test(line)) restarting = restarting.then(restart)
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    compiler.kill()
    server?.kill('SIGTERM')
  })
}
