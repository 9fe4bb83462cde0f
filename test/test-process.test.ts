import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TestProcess } from './support/test-process.ts'

const folder = join(import.meta.dirname, 'fixtures/broken-tests')

function startProcess(t: Test, limitS = 60) {
  const tests = new TestProcess({
    cwd: folder,
    environment: {},
    limitS,
    signal: new AbortController().signal,
  })
  t.teardown(() => tests.end())
  return tests
}

/** Ways in which a test file goes wrong, and how many assertions held and what is said of each. */
const BROKEN: Record<string, [passed: number, fault: RegExp]> = {
  fails: [1, /^1 failed$/],
  'fails-at-the-end': [1, /^1 failed$/],
  'rejects-unhandled': [1, /^1 failed$/],
  'throws-later': [0, /^ended with 1 before it was done$/],
  'teardown-throws': [1, /^1 failed$/],
  exits: [0, /^ended with \d before it was done$/],
  'asserts-nothing': [0, /^has no assertion$/],
  missing: [0, /^1 failed$/],
}

for (const [name, [passed, fault]] of Object.entries(BROKEN)) {
  t.test(`a test file is reported as failed: ${name}`, async t => {
    const tests = startProcess(t)
    t.match(await tests.run('passes.js'), { passed: 2, failed: 0, fault: null })
    t.match(await tests.run(`${name}.js`), { passed, failed: 1, fault })
    t.equal(tests.isUsable, false, 'the process runs no other file')
  })
}

t.test('a file whose tests are skipped passes', async t => {
  t.match(await startProcess(t).run('skips.js'), { passed: 0, failed: 0, fault: null })
})

t.test('a test file that hangs is reported as failed, with what it had asserted', async t => {
  const result = await startProcess(t, 1).run('hangs.js')
  t.equal(result.failed, 1)
  t.match(result.details.join('\n'), 'timeout!')
})
