import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import t, { type Test } from 'tap'
import { createProgram } from '#src/commands/program.ts'
import { findRuntime, REQUESTS } from '../clients/programs.ts'
import { makeFolder } from '../fixtures/embedded.ts'
import { launch, open, servePages, skip } from '../fixtures/spa.ts'
import { serve } from '../support/processes.ts'
import { freePort } from '../support/services.ts'

const project = join(import.meta.dirname, '../../..')
const main = join(import.meta.dirname, '../../src/main.js')
const exec = promisify(execFile)

/** The pages whose shell, JavaScript and Python examples run against a server with demo data. */
const PAGES = ['README.md', 'docs/clients.md', 'docs/query-language.md']

/** Examples that start something that does not end, or the whole suite. */
const NOT_RUN = /^make (run|test|dev|check)\b/m

interface Example {
  language: string
  code: string
}

/** The fenced blocks of a page that are examples to run. */
const examplesOf = (text: string): Example[] =>
  [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({ language, code }))

/** The folder of a database with demo data, and its access. Each page gets a copy: making one takes seconds. */
async function makeDemo() {
  const folder = makeFolder(t)
  const dataDir = join(folder, 'data')
  const server = await serve(t, { DATA_DIR: dataDir, HASH_ROUNDS: '4' })
  const [, token = ''] = /(\d+\|\S+)/.exec(await server.line(/Demo token/)) ?? []
  const [, password = ''] = /password (\S+)/.exec(await server.line(/Demo user/)) ?? []
  await server.stop()
  return { dataDir, token, password }
}

const { dataDir, token, password } = await makeDemo()

/** A server with demo data, and a folder with what examples call: `npx` without npm, `curl` that fails for 4xx and 5xx. */
async function startDemo(t: Test) {
  const folder = makeFolder(t)
  // Another test may use port 3000, where the example's page would be by default.
  const pagePort = await freePort()
  const environment = {
    DATA_DIR: join(folder, 'data'),
    HASH_ROUNDS: '4',
    TOKEN_LOGIN: 'on',
    SANCTUM_STATEFUL_DOMAINS: `localhost:3000,localhost:${pagePort}`,
  }
  await cp(dataDir, environment.DATA_DIR, { recursive: true })
  const server = await serve(t, environment)
  const bin = join(folder, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${main}' "$@"\n`)
  await writeFile(
    join(bin, 'curl'),
    `#!/bin/sh\nPATH="\${PATH#*${delimiter}}" exec curl --silent --show-error --fail-with-body "$@"\n`,
  )
  for (const name of ['npx', 'curl']) await chmod(join(bin, name), 0o755)
  const api = server.base.replace('127.0.0.1', 'localhost')
  const env = {
    ...environment,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    HOME: folder,
    TOKEN: token,
    PASSWORD: password,
  }
  return {
    folder,
    api,
    env,
    pagePort,
    atServer: (code: string) => code.replaceAll('http://localhost:8000', api),
  }
}

type Demo = Awaited<ReturnType<typeof startDemo>>

for (const page of PAGES) {
  t.test(`the examples of ${page} work`, async t => {
    const demo = await startDemo(t)
    const text = await readFile(join(project, page), 'utf8')
    for (const { language, code } of examplesOf(text)) {
      const name = code.trim().split('\n')[0] ?? ''
      const source = demo.atServer(code)
      if (language === 'sh' && !NOT_RUN.test(code)) {
        const run = exec('bash', ['-euo', 'pipefail', '-c', source], { env: demo.env, cwd: demo.folder })
        const failure = await run.then(
          () => null,
          error => `${error.stdout}${error.stderr}`,
        )
        t.equal(failure, null, name)
      } else if (language === 'js' && code.includes('fetch(')) {
        const run = new Function('token', `return (async () => { ${source}; return user })()`)
        t.equal((await run(token)).email, 'demo@example.org', name)
      } else if (language === 'js' && code.includes('axios')) {
        await t.test('in a browser', { skip }, async t => {
          t.equal(await runInBrowser(t, demo, code), 'demo@example.org', name)
        })
      } else if (language === 'python') {
        const email = await runPython(demo, source)
        if (email === null && !process.env.TEST_REQUIRE_ALL)
          t.pass(name, { skip: `${REQUESTS.missing} was not found` })
        else t.equal(email, 'demo@example.org', name)
      } else if (language === 'json') {
        t.match(JSON.parse(code), { user: { email: 'demo@example.org' } }, name)
      }
    }
  })
}

/** Runs an example that uses `requests`. Null if this machine does not have it. */
async function runPython({ folder, env }: Demo, source: string) {
  const python = findRuntime(REQUESTS)
  if (python === null) return null
  const known = { token, email: 'demo@example.org', password: env.PASSWORD }
  const script = [
    'import requests',
    ...Object.entries(known).map(([name, value]) => `${name} = ${JSON.stringify(value)}`),
    source,
    'print(user["email"])',
  ]
  const { stdout } = await exec(python, ['-c', script.join('\n')], { env, cwd: folder })
  return stdout.trim()
}

/** Runs the example for pages with cookies in a browser, and returns the address of the user that it finds. */
async function runInBrowser(t: Test, { api, pagePort, atServer }: Demo, code: string) {
  const origin = await servePages(t, api, pagePort)
  const tab = await open(await launch(t), origin)
  // The demo user has no second factor, so that there is no challenge.
  const source = atServer(code).replace(/^.*two-factor-challenge.*$/m, '')
  return tab.evaluate(
    `(async ({ email, password, current_password, password_confirmation }) => { ${source}; return user.email })(
      ${JSON.stringify({ email: 'demo@example.org', password, current_password: password, password_confirmation: password })})`,
  )
}

t.test('documents name commands and make targets that exist', async t => {
  const makefile = await readFile(join(project, 'Makefile'), 'utf8')
  const commands = createProgram({} as never)
  const names = [
    ...(await readdir(project)),
    ...(await readdir(join(project, 'docs'))).map(name => join('docs', name)),
  ]
  for (const page of names.filter(name => name.endsWith('.md'))) {
    const text = await readFile(join(project, page), 'utf8')
    const unknown = [...text.matchAll(/npx animethemes-auth ([a-z][a-z -]*[a-z])/g)]
      .map(([, words = '']) => words.split(' '))
      .filter(words => !isCommand(commands, words))
      .map(words => words.join(' '))
    t.strictSame(unknown, [], `commands of ${page}`)
    const targets = [...text.matchAll(/(?:`|^)(?:[A-Z_]+=\S+ )*make ([a-z-]+)/gm)].map(
      ([, target = '']) => target,
    )
    t.strictSame(
      targets.filter(target => !new RegExp(`^${target}:`, 'm').test(makefile)),
      [],
      `targets of ${page}`,
    )
  }
})

/** Whether the first words name a command, with its subcommand if it has some. */
function isCommand(parent: Command, [first, ...rest]: string[]): boolean {
  const command = parent.commands.find(one => one.name() === first)
  if (command === undefined) return false
  return command.commands.length === 0 || isCommand(command, rest)
}
