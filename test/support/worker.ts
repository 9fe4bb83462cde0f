/**
 * Runs test files in this process, one after another: each file's path arrives as an IPC message, and a closed channel
 * ends the process. Loading the server and compiling PGlite once for many files takes a fraction of the time of doing so
 * for each. A line ends the output of each file: {@link END_OF_FILE} and the counts of the process.
 */
import asyncHooks from 'node:async_hooks'
import { syncBuiltinESMExports } from 'node:module'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { END_OF_FILE } from './test-process.ts'

type Teardown = () => unknown

/** How often a file is asked whether its tests are done. */
const POLL_MS = 5
const limitMs = Number(process.env.TAP_TIMEOUT) * 1_000

// Tap hooks every promise to tell which test an uncaught error belongs to, which takes up to a fourth of the time. Here
// such an error ends the process, which fails the file.
const disabled = {
  enable: () => disabled,
  disable: () => disabled,
}
asyncHooks.createHook = () => disabled
syncBuiltinESMExports()
const { default: t } = await import('tap')

let ends = 0
/** What all files have asserted. Tap counts an assertion when the next one begins, which here is an empty test. */
async function countAssertions() {
  await t.test('end of file', async () => {})
  const { pass, fail = 0, skip = 0 } = t.counts
  return { pass: pass - ends++, fail, skip }
}

let teardowns: Teardown[] = []
// Tap runs what is added at the top level of a file once the process ends. Here the next file comes before that.
Object.assign(t, { teardown: (teardown: Teardown) => teardowns.unshift(teardown) })

process.once('disconnect', () => process.exit())
process.on('message', async (file: string) => {
  // The limit of the root test would count from the start of the process.
  t.setTimeout(limitMs)
  try {
    await import(pathToFileURL(resolve(file)).href)
    while (!t.idle) await delay(POLL_MS)
    for (const teardown of teardowns) await teardown()
  } catch (error) {
    t.fail(`${file} cannot be run`, { found: error })
  }
  teardowns = []
  // Not as a comment of tap's, which appears together with what follows it.
  process.stdout.write(`${END_OF_FILE} ${JSON.stringify(await countAssertions())}\n`)
})
// Tap unrefs the channel with its first line. It has to keep this process alive between files.
t.comment('ready for test files')
process.channel?.ref()
