import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LogOutput } from '#src/http/log-output.ts'
import { testClock } from './fixtures/clock.ts'

/** A pipe whose reader is the test. */
function pipe(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'animethemes-auth-log-'))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  let isOpen = true
  const closeReader = () => {
    if (isOpen) closeSync(reader)
    isOpen = false
  }
  t.teardown(() => {
    closeReader()
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  return {
    fd,
    closeReader,
    /** What is in the pipe. */
    read() {
      const chunks: Buffer[] = []
      for (;;) {
        const chunk = Buffer.alloc(65_536)
        try {
          const size = readSync(reader, chunk)
          if (size === 0) return Buffer.concat(chunks).toString()
          chunks.push(chunk.subarray(0, size))
        } catch {
          return Buffer.concat(chunks).toString()
        }
      }
    },
  }
}

const lines = (count: number, length = 1_000) =>
  Array.from({ length: count }, (_, i) => `${String(i).padEnd(length, '.')}\n`)

t.test('lines are written in their order', async t => {
  const { fd, read } = pipe(t)
  const output = new LogOutput(fd, testClock().schedule, () => {})
  for (const line of ['one\n', 'zwei ü\n', 'three\n']) output.write(line)
  await output.flush()
  t.equal(read(), 'one\nzwei ü\nthree\n')
  await output.flush()
  output.write('four\n')
  output.flushSync()
  output.write('five\n')
  await output.flush()
  t.match(read(), /^(four\n){1,2}five\n$/, 'what is being written meanwhile may be written twice')
})

t.test('a reader that stops reading: lines wait, and are dropped beyond 4 MiB', async t => {
  const { fd, read } = pipe(t)
  const clock = testClock()
  const dropped: number[] = []
  const output: LogOutput = new LogOutput(fd, clock.schedule, count => {
    dropped.push(count)
    output.write('dropped\n')
  })
  const sent = lines(10_000)
  for (const line of sent) output.write(line)
  let received = ''
  for (let i = 0; !received.endsWith('dropped\n'); i += 1) {
    await output.flush()
    received += read()
    clock.advance(100)
    if (i > 10_000) throw new Error('it does not end')
  }
  const kept = received.slice(0, -'dropped\n'.length)
  t.ok(kept.length >= 4 * 1_048_576 && kept.length < 9 * 1_048_576, `${kept.length} bytes were kept`)
  t.ok(sent.join('').startsWith(kept), 'the first ones, whole and in order')
  t.strictSame(dropped, [sent.length - kept.length / 1_001])
})

t.test('a reader that goes away and comes back costs nothing but the lines', async t => {
  const { fd, closeReader } = pipe(t)
  const clock = testClock()
  const output = new LogOutput(fd, clock.schedule, () => {})
  closeReader()
  for (const line of lines(10)) output.write(line)
  await output.flush()
  clock.advance(100)
  await output.flush()
  output.flushSync()
  t.pass('EPIPE throws nothing, and flushing returns')
})
