import t from 'tap'
import { throttledLog } from '#src/runtime/throttled-log.ts'
import { testClock } from '../fixtures/clock.ts'

t.test('the first event is logged at once, further ones of a second in one line', async t => {
  const clock = testClock()
  const lines: string[] = []
  const note = throttledLog<string>(clock.schedule, {
    first: event => lines.push(event),
    repeated: (kind, count) => lines.push(`${count} further ${kind}`),
  })
  note('a', 'a1')
  t.strictSame(lines, ['a1'])
  for (let n = 2; n <= 1_000; n++) note('a', `a${n}`)
  note('b', 'b1')
  t.strictSame(lines, ['a1', 'b1'], 'kinds are counted separately')
  clock.advance(1_000)
  t.strictSame(lines, ['a1', 'b1', '999 further a'])
  note('a', 'a1001')
  note('a', 'a1002')
  t.equal(lines.length, 3, 'within the next second events are counted again')
  clock.advance(1_000)
  t.equal(lines.at(-1), '2 further a')
  clock.advance(1_000)
  t.equal(lines.length, 4, 'a second without events logs nothing')
  note('a', 'a1003')
  t.equal(lines.at(-1), 'a1003', 'the next event is logged at once')
})
